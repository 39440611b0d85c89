package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/fault"
	"gatehouse/internal/store"
	"gatehouse/internal/store/boltstore"
	"gatehouse/internal/store/redisstore"
)

// openStore opens the store that the configuration names. DATA_DIR is this
// process's own in any case: the command line finds it there.
func (n *node) openStore(ctx context.Context) error {
	if !n.cfg.Redis.Enabled() {
		s, err := boltstore.Open(n.cfg.DataDir, boltstore.Options{})
		if err != nil {
			return err
		}
		n.store, n.closeStore = s, s.Close
		return nil
	}
	folder, err := boltstore.Claim(n.cfg.DataDir, boltstore.DefaultLockWait)
	if err != nil {
		return err
	}
	if boltstore.Exists(n.cfg.DataDir) {
		n.log.Warn("DATA_DIR holds an embedded store, which is not used because REDIS_URL is set", "component", "store", "data_dir", n.cfg.DataDir)
	}
	options, err := redisOptions(n.cfg.Redis)
	if err != nil {
		return errors.Join(err, folder.Close())
	}
	options.Log, options.Mirror = n.component("store"), true
	options.LogLife = map[string]time.Duration{"request": n.cfg.Log.Retention + logSpare, "audit": auditLife}
	s, err := redisstore.Open(ctx, options)
	if err != nil {
		return errors.Join(err, folder.Close())
	}
	n.store, n.closeStore = s, func() error { return errors.Join(s.Close(), folder.Close()) }
	return nil
}

// backend is the word for where the store is.
func (n *node) backend() string {
	if n.cfg.Redis.Enabled() {
		return "redis"
	}
	return "embedded"
}

// Logs in Redis outlive what the journal keeps by a little, so that it is the
// journal that drops them as long as some node runs.
const (
	logSpare  = 24 * time.Hour
	auditLife = 366*24*time.Hour + logSpare
)

// redisOptions are the store's for the configured Redis.
func redisOptions(r config.Redis) (redisstore.Options, error) {
	s := r.Server
	o := redisstore.Options{Addrs: s.Addrs, Master: s.Master, Username: s.Username, Password: s.Password.Reveal(), DB: s.DB, Prefix: r.Prefix}
	if !s.TLS {
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CAFile == "" {
		return o, nil
	}
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return o, fault.BadField("REDIS_CA_FILE", "can't be read: %v", err)
	}
	if o.TLS.RootCAs, err = x509.SystemCertPool(); err != nil {
		o.TLS.RootCAs = x509.NewCertPool() // a machine without any: the file's count
	}
	o.TLS.RootCAs.AppendCertsFromPEM(pem)
	return o, nil
}

// openSealer takes SECRET_KEY, or the key beside the embedded store.
func (n *node) openSealer() (err error) {
	key := []byte(n.cfg.SecretKey.Reveal())
	if len(key) == 0 {
		if key, err = store.LoadOrCreateKey(filepath.Join(n.cfg.DataDir, "secret.key")); err != nil {
			return err
		}
	}
	n.sealer, err = store.NewSealer(key)
	return err
}
