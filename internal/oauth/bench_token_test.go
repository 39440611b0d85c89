package oauth

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSignIn is each step of a sign-in at its endpoint, beside the bare RSA
// signature that four of them need. cpu-µs is what the process computed; the
// rest of the time it waited for the disk. rsa-% is the signature's part of it.
func BenchmarkSignIn(b *testing.B) {
	var rsaCPU float64
	b.Run("rsa-alone", func(b *testing.B) {
		sum := sha256.Sum256([]byte("token"))
		rsaCPU = costs(b, 0, func() error {
			_, err := rsa.SignPKCS1v15(nil, testKey(), crypto.SHA256, sum[:])
			return err
		})
	})
	b.Run("authorize", func(b *testing.B) {
		r := newRig(b)
		at := appOrigin + "/authorize?" + authorizeQuery(r.registered(appOrigin)).Encode()
		costs(b, 0, r.wants(http.StatusSeeOther, func() answer { return r.ask(http.MethodGet, at, "") }))
	})
	b.Run("token-code", func(b *testing.B) {
		r := newRig(b)
		client, codes := "", make([]string, b.N)
		for i := range codes {
			if i%grantsEach == 0 { // more grants of one client would make room for each other
				client = r.registered(appOrigin)
			}
			codes[i] = r.code(appOrigin, client, person("alice"), authorizeQuery(client)) + " " + client
		}
		i := 0
		costs(b, rsaCPU, r.wants(http.StatusOK, func() answer {
			code, client, _ := strings.Cut(codes[i], " ")
			i++
			return r.post(appOrigin+"/token", codeForm(client, code))
		}))
	})
	b.Run("token-refresh", func(b *testing.B) {
		r := newRig(b)
		clients, tokens := make([]string, 32), make([]string, 32)
		for i := range tokens {
			_, tokens[i], clients[i] = r.tokens(appOrigin, person("alice"), "user")
		}
		i := 0
		costs(b, rsaCPU, r.wants(http.StatusOK, func() answer {
			i = (i + 1) % len(tokens)
			a := r.refresh(appOrigin, clients[i], tokens[i])
			tokens[i] = a.text(b, "refresh_token")
			return a
		}))
	})
	b.Run("token-refresh-64-at-once", func(b *testing.B) {
		r := newRig(b)
		clients, tokens := make([]string, 64), make([]string, 64)
		for i := range tokens {
			_, tokens[i], clients[i] = r.tokens(appOrigin, person("alice"), "user")
		}
		costsOf(b, rsaCPU, func() error {
			var all sync.WaitGroup
			var n atomic.Int64
			for i := range tokens {
				all.Go(func() {
					for n.Add(1) <= int64(b.N) {
						tokens[i] = r.refresh(appOrigin, clients[i], tokens[i]).text(b, "refresh_token")
					}
				})
			}
			all.Wait()
			return nil
		})
	})
	b.Run("token-refresh-one-family", func(b *testing.B) {
		r := newRig(b)
		_, token, client := r.tokens(appOrigin, person("alice"), "user")
		costs(b, rsaCPU, r.wants(http.StatusOK, func() answer {
			a := r.refresh(appOrigin, client, token)
			token = a.text(b, "refresh_token")
			return a
		}))
	})
	b.Run("token-device-poll", func(b *testing.B) {
		r := newRig(b)
		d := r.post(appOrigin+"/device/code", url.Values{"client_id": {DeviceFlowClient}})
		poll := url.Values{"grant_type": {grantDevice}, "client_id": {DeviceFlowClient}, "device_code": {d.text(b, "device_code")}}
		costs(b, 0, r.wants(http.StatusBadRequest, func() answer { return r.post(appOrigin+"/token", poll) }))
	})
	b.Run("introspect", func(b *testing.B) {
		r := newRig(b)
		access, _, _ := r.tokens(appOrigin, person("alice"), "user")
		a := r.ask(http.MethodPost, appOrigin+"/register", `{"redirect_uris":["https://client.example/cb"]}`, "Content-Type", "application/json")
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(a.text(b, "client_id")+":"+a.text(b, "client_secret")))
		costs(b, 0, r.wants(http.StatusOK, func() answer {
			return r.post(appOrigin+"/introspect", url.Values{"token": {access}}, "Authorization", basic)
		}))
	})
}

// wants is ask, as long as it gives this status.
func (r *rig) wants(status int, ask func() answer) func() error {
	return func() error {
		if a := ask(); a.StatusCode != status {
			return asError(newError(a.Status, string(a.body)))
		}
		return nil
	}
}

// costs runs once b.N times.
func costs(b *testing.B, signing float64, once func() error) float64 {
	b.Helper()
	return costsOf(b, signing, func() error {
		for range b.N {
			if err := once(); err != nil {
				return err
			}
		}
		return nil
	})
}

// costsOf runs all, which does something b.N times, and reports the processor
// time of each in microseconds, which it answers, and what part of it signing is.
func costsOf(b *testing.B, signing float64, all func() error) float64 {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	began := processor(b)
	if err := all(); err != nil {
		b.Fatal(err)
	}
	each := float64((processor(b) - began).Nanoseconds()) / 1000 / float64(b.N)
	b.ReportMetric(each, "cpu-µs/op")
	if signing > 0 {
		b.ReportMetric(100*signing/each, "rsa-%")
	}
	return each
}

func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
