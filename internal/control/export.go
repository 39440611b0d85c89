package control

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
	"gatehouse/internal/store"
)

// exportFormat names the form of an exported document.
const exportFormat = "gatehouse-config-1"

// Export is all proxies and routes as one document. GitHub Apps of hosts are not
// in it: their secrets leave the store by no way.
type Export struct {
	Format     string       `json:"format"`
	ExportedAt time.Time    `json:"exported_at"`
	Release    string       `json:"release"`
	Proxies    []site.Proxy `json:"proxies"`
	Routes     []site.Route `json:"routes"`
	LeftOut    []string     `json:"left_out" jsonschema:"what is not in the document: hosts whose GitHub App must be set again"`
}

// ExportConfig answers all proxies and routes.
func (c *Control) ExportConfig(ctx context.Context, _ Nothing) (Export, error) {
	out := Export{Format: exportFormat, ExportedAt: c.stamp(), Release: c.deps.Release, Proxies: []site.Proxy{}, LeftOut: []string{}}
	rows, err := c.proxies.All(ctx)
	if err != nil {
		return out, err
	}
	for _, row := range rows {
		p := row.Value
		if p.GitHubClientID != "" {
			out.LeftOut = append(out.LeftOut, p.Hostname+": github_client_id, github_client_secret")
			p.GitHubClientID, p.GitHubClientSecret = "", ""
		}
		p.Version = row.Version
		out.Proxies = append(out.Proxies, p)
	}
	out.Routes, err = c.storedRoutes(ctx)
	return out, err
}

// ImportConfig is the argument of import_config: an exported document and what
// to do with it.
type ImportConfig struct {
	Format     string          `json:"format,omitempty" jsonschema:"form of the document"`
	ExportedAt json.RawMessage `json:"exported_at,omitempty" jsonschema:"ignored"`
	Release    string          `json:"release,omitempty" jsonschema:"ignored"`
	LeftOut    []string        `json:"left_out,omitempty" jsonschema:"ignored"`
	Proxies    []site.Patch    `json:"proxies,omitempty" jsonschema:"hosts, each with proxy_hostname"`
	Routes     []site.Patch    `json:"routes,omitempty" jsonschema:"routes, each with route_id"`

	DryRun       bool `json:"dry_run,omitempty" jsonschema:"only say what would be done"`
	SkipExisting bool `json:"skip_existing,omitempty" jsonschema:"leave what is there as it is"`
	Replace      bool `json:"replace,omitempty" jsonschema:"put the document's in place of what is there"`
}

// Imported tells what an import did, or with dry_run would do.
type Imported struct {
	DryRun   bool     `json:"dry_run"`
	Created  []string `json:"created"`
	Replaced []string `json:"replaced"`
	Skipped  []string `json:"skipped"`
}

// ImportConfig makes proxies and routes from a document. Everything is checked
// before anything is written; what exists already is an error unless the
// argument says what to do with it.
func (c *Control) ImportConfig(ctx context.Context, in ImportConfig) (Imported, error) {
	if in.Format != "" && in.Format != exportFormat {
		return Imported{}, fault.BadField("format", "is %s", exportFormat)
	}
	if in.SkipExisting && in.Replace {
		return Imported{}, fault.BadField("replace", "and skip_existing exclude each other")
	}
	plan := plan{control: c, in: in, out: Imported{DryRun: in.DryRun, Created: []string{}, Replaced: []string{}, Skipped: []string{}}}
	if err := plan.make(ctx); err != nil {
		return Imported{}, err
	}
	if in.DryRun {
		return plan.out, nil
	}
	noted(ctx, "config", nil, plan.out)
	for batch := range slices.Chunk(plan.writes, store.MaxCommit) {
		versions, err := c.deps.Store.Commit(ctx, batch...)
		if err != nil {
			return Imported{}, err
		}
		for i, w := range batch {
			c.deps.Worlds.Await(ctx, w.Key, versions[i])
		}
	}
	return plan.out, nil
}
