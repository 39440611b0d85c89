package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
)

// directoryPatience bounds the reading of a directory.
const directoryPatience = 30 * time.Second

// at is the protocol's client for one directory; it keeps nonces. The directory
// is read here, once: acmez holds a lock of all directories while it reads one,
// so that an authority that does not answer would hold up all others.
func (c *Client) at(ctx context.Context, directory string) (*wire.Client, error) {
	c.mu.Lock()
	w := c.wires[directory]
	c.mu.Unlock()
	if w != nil {
		return w, nil
	}
	text, err := c.readDirectory(ctx, directory)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the certificate authority could not be asked, or its answer makes no sense: its directory %s can't be read", directory)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.wires[directory]; w != nil {
		return w, nil
	}
	w = &wire.Client{Directory: directory, UserAgent: c.opt.Agent, PollInterval: time.Second, PollTimeout: orderPatience,
		HTTPClient: &http.Client{Transport: knowing{directory, text, c.http.Transport}, Timeout: c.http.Timeout}}
	c.wires[directory] = w
	return w, nil
}

func (c *Client) readDirectory(ctx context.Context, directory string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, directory, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.opt.Agent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d", res.StatusCode)
	}
	var d wire.Directory
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	if d.NewNonce == "" || d.NewAccount == "" || d.NewOrder == "" {
		return nil, fmt.Errorf("it lacks newNonce, newAccount or newOrder")
	}
	return text, nil
}

// drop forgets what was read of a directory: it may be the cause of answers that
// make no sense.
func (c *Client) drop(directory string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.wires, directory)
}

// knowing answers for a directory that was read already.
type knowing struct {
	directory string
	text      []byte
	next      http.RoundTripper
}

func (k knowing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.URL.String() != k.directory {
		return k.next.RoundTrip(r)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(k.text)), ContentLength: int64(len(k.text)),
	}, nil
}
