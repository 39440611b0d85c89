package cert

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// The local CA's place in the store: ca:local.
const (
	caPrefix = "ca:"
	caName   = "local"
)

// caRecord is the local CA as it is stored.
type caRecord struct {
	Certificate string `json:"certificate"` // PEM
	Key         []byte `json:"key"`         // PKCS #8, sealed for the record's place
}

// vault keeps the local CA in the store.
type vault struct {
	kv     store.KV
	table  store.Table[caRecord]
	sealer *store.Sealer
}

func newVault(kv store.KV, sealer *store.Sealer) *vault {
	return &vault{kv: kv, table: store.NewTable[caRecord](kv, caPrefix, "certificate authority"), sealer: sealer}
}

// watch tells of every change to the CA, and once at the start.
func (v *vault) watch(ctx context.Context) <-chan store.Event {
	return v.kv.Watch(ctx, v.table.Key(caName))
}

// load reads the CA. One that is missing or about to end is made anew; of
// several nodes that do so at once, one wins and all use its CA.
func (v *vault) load(ctx context.Context, now time.Time) (ca *authority, made bool, err error) {
	row, err := v.table.Get(ctx, caName)
	if err == nil {
		ca, err = v.open(row.Value)
		if err != nil || !ca.ending(now) {
			return ca, false, err
		}
	} else if !fault.Is(err, fault.NotFound) {
		return nil, false, err
	}
	ca, err = v.create(ctx, now, row.Version)
	if fault.Is(err, fault.Exists) || fault.Is(err, fault.Conflict) {
		ca, err = v.read(ctx)
		return ca, false, err
	}
	return ca, err == nil, err
}

func (v *vault) read(ctx context.Context) (*authority, error) {
	row, err := v.table.Get(ctx, caName)
	if err != nil {
		return nil, err
	}
	return v.open(row.Value)
}

// create makes a CA and stores it in place of the version that was read; 0: of none.
func (v *vault) create(ctx context.Context, now time.Time, version int64) (*authority, error) {
	ca, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	record, err := v.seal(ca)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		_, err = v.table.Create(ctx, caName, record, 0)
	} else {
		_, err = v.table.Update(ctx, caName, record, version, 0)
	}
	return ca, err
}

func (v *vault) seal(ca *authority) (caRecord, error) {
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return caRecord{}, err
	}
	return caRecord{Certificate: string(ca.pem), Key: v.sealer.Seal(v.table.Key(caName), der)}, nil
}

func (v *vault) open(r caRecord) (*authority, error) {
	der, err := v.sealer.Open(v.table.Key(caName), r.Key)
	if err != nil {
		return nil, unusable(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, unusable(err)
	}
	key, isEC := parsed.(*ecdsa.PrivateKey)
	block, _ := pem.Decode([]byte(r.Certificate))
	if !isEC || block == nil {
		return nil, unusable(errors.New("a part of it is of the wrong form"))
	}
	ca, err := openAuthority(block.Bytes, key)
	if err != nil {
		return nil, unusable(err)
	}
	return ca, nil
}

func unusable(cause error) error {
	return fault.Wrap(fault.Internal, cause,
		"the local certificate authority in the store (%s%s) can't be used: if SECRET_KEY was changed, bring the old one back", caPrefix, caName)
}
