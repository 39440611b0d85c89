package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"gatehouse/internal/api/client"
	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/api/localauth"
	"gatehouse/internal/config"
	"gatehouse/internal/fault"
)

// connection is the API as this run of the program reaches it.
type connection struct {
	api       *client.Client
	ops       client.Operations
	url       string
	transport http.RoundTripper
	keeper    *client.Keeper // the stored sign-in; nil with --token and --local
}

// connect finds the API and who asks it. It sends nothing.
func (a *app) connect() (*connection, error) {
	if a.inside != nil {
		conn := &connection{url: "http://localhost", transport: a.inside}
		return conn.dial(a, nil)
	}
	settings, err := config.LoadClient(a.source(nil))
	if err != nil {
		return nil, err
	}
	if a.flags.local {
		return a.connectLocal(settings)
	}
	url, err := a.apiURL(settings)
	if err != nil {
		return nil, err
	}
	transport, err := a.transport(settings)
	if err != nil {
		return nil, err
	}
	conn := &connection{url: url, transport: transport}
	source := a.tokens(conn, settings)
	return conn.dial(a, client.Bearer{Source: source})
}

func (conn *connection) dial(a *app, auth client.Authorizer) (*connection, error) {
	var err error
	conn.api, err = client.New(client.Options{URL: conn.url, Transport: conn.transport, Auth: auth, Timeout: a.flags.timeout, UserAgent: agent()})
	conn.ops = client.NewOperations()
	return conn, err
}

// agent is what this program calls itself.
func agent() string { return "gatehouse/" + release().Version }

// apiURL is the API to ask, in the form under which sign-ins are kept.
func (a *app) apiURL(settings *config.Client) (string, error) {
	url := first(a.flags.url, settings.URL)
	if url == "" {
		l, err := listenfile.Read(settings.DataDir)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return "", err
		}
		if err == nil && !l.Alive() {
			return "", fault.New(fault.Unavailable, "the Gatehouse of DATA_DIR=%s has ended: start it, or name an API by --url", settings.DataDir)
		}
		url = first(l.HTTP, l.HTTPS, l.Direct, "http://localhost")
	}
	u, err := client.ParseURL(url)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// transport trusts the local CA of this machine's Gatehouse, when there is one,
// for this machine's names.
func (a *app) transport(settings *config.Client) (http.RoundTripper, error) {
	roots, err := listenfile.ReadCA(settings.DataDir)
	if err != nil && !fault.Is(err, fault.NotFound) && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return client.Named(a.watched(client.NewTransport(roots)), agent()), nil
}

// tokens decides who asks: --token, the environment's pair, or the stored sign-in.
func (a *app) tokens(conn *connection, settings *config.Client) client.TokenSource {
	if a.flags.token != "" {
		return client.Fixed(a.flags.token)
	}
	conn.keeper = &client.Keeper{
		File:      client.Credentials{Path: settings.CredentialsFile},
		Slot:      client.Slot{Profile: a.flags.profile, URL: conn.url},
		URL:       conn.url,
		Transport: conn.transport,
	}
	if access := settings.AccessToken.Reveal(); access != "" {
		refresh := settings.RefreshToken.Reveal()
		conn.keeper.Start = client.Given(access, refresh)
		conn.keeper.Slot = client.Slot{Hash: client.HashPair(access, refresh)}
	}
	return conn.keeper
}

// connectLocal signs each request with the key that only this account can read.
// It goes to this machine and nowhere else.
func (a *app) connectLocal(settings *config.Client) (*connection, error) {
	if a.flags.token != "" {
		return nil, usage("--local and --token are two ways to say who you are: choose one")
	}
	conn, err := a.localDoor(settings)
	if err != nil {
		return nil, err
	}
	key, err := localauth.Load(settings.DataDir)
	if err != nil {
		return nil, err
	}
	return conn.dial(a, signer{key})
}

// localDoor is where --local goes: --url when it is this machine, else the
// socket or the direct door of the Gatehouse that runs here.
func (a *app) localDoor(settings *config.Client) (*connection, error) {
	if a.flags.url != "" {
		u, err := client.ParseURL(a.flags.url)
		if err != nil {
			return nil, err
		}
		if !client.Loopback(u.Hostname()) {
			return nil, usage("--local proves who you are to this machine only: %s is not it", a.flags.url)
		}
		transport, err := a.transport(settings)
		return &connection{url: u.String(), transport: transport}, err
	}
	l, err := listenfile.Read(settings.DataDir)
	switch {
	case err != nil:
		return nil, err
	case l.Socket != "":
		return &connection{url: "http://localhost", transport: a.watched(client.SocketTransport(l.Socket))}, nil
	}
	transport, err := a.transport(settings)
	return &connection{url: first(l.Direct, l.HTTP), transport: transport}, err
}

// signer is --local as the client asks for it.
type signer struct{ key localauth.Key }

func (s signer) Authorize(_ context.Context, r *http.Request, body []byte) error {
	s.key.Sign(r, body, time.Now())
	return nil
}

// source is where settings come from; given are flags by variable name.
func (a *app) source(given map[string]string) config.Source {
	src := config.System(given)
	src.Environ = a.env
	return src
}
