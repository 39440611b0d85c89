package cert

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Where certificates stand in the store: each under its name, and for each
// domain the name of the certificate that was last obtained or uploaded for it,
// which is written whenever one is put in place.
const (
	ObjectPrefix = "cert:"
	DomainPrefix = "cert:domain:"
)

// shelf keeps certificate objects in the store, their keys sealed.
type shelf struct {
	kv     store.KV
	table  store.Table[Object]
	sealer *store.Sealer
}

func newShelf(kv store.KV, sealer *store.Sealer) *shelf {
	return &shelf{kv: kv, table: store.NewTable[Object](kv, ObjectPrefix, "certificate"), sealer: sealer}
}

// get is the object called name; NotFound when there is none.
func (s *shelf) get(ctx context.Context, name string) (Object, error) {
	if !objectName.MatchString(name) {
		return Object{}, fault.New(fault.NotFound, "there is no certificate %q", name)
	}
	row, err := s.table.Get(ctx, name)
	row.Value.Version = row.Version
	return row.Value, err
}

// all is every object that can be read, in name order, and an error for each
// that can't.
func (s *shelf) all(ctx context.Context) (objects []Object, bad []error, err error) {
	after := ""
	for {
		items, err := s.kv.List(ctx, ObjectPrefix, after, store.MaxPage)
		if err != nil {
			return nil, nil, err
		}
		for _, item := range items {
			if strings.HasPrefix(item.Key, DomainPrefix) {
				continue
			}
			var o Object
			if err := json.Unmarshal(item.Value, &o); err != nil {
				bad = append(bad, fault.Wrap(fault.Internal, err, "the stored certificate %q can't be read", item.Key[len(ObjectPrefix):]))
				continue
			}
			o.Version = item.Version
			objects = append(objects, o)
		}
		if len(items) < store.MaxPage {
			return objects, bad, nil
		}
		after = items[len(items)-1].Key
	}
}

// put writes an object over the version that was read; 0: it must not exist.
func (s *shelf) put(ctx context.Context, o *Object) (err error) {
	if o.Version == 0 {
		o.Version, err = s.table.Create(ctx, o.Name, *o, 0)
	} else {
		o.Version, err = s.table.Update(ctx, o.Name, *o, o.Version, 0)
	}
	return err
}

// activate writes an object that has a new certificate, and points its domains
// at it, all at once.
func (s *shelf) activate(ctx context.Context, o *Object) error {
	w, err := s.table.Write(o.Name, *o, o.Version, 0)
	if err != nil {
		return err
	}
	name, err := json.Marshal(o.Name)
	if err != nil {
		return err
	}
	writes := []store.Write{w}
	for _, d := range o.Domains {
		writes = append(writes, store.Write{Key: DomainPrefix + d, Value: name, If: store.AnyVersion})
	}
	versions, err := s.kv.Commit(ctx, writes...)
	if fault.Is(err, fault.Conflict) {
		if o.Version == 0 {
			return fault.New(fault.Exists, "the certificate %q exists already", o.Name)
		}
		return fault.New(fault.Conflict, "the certificate %q was changed by someone else in the meantime: read it again and repeat", o.Name)
	}
	if err != nil {
		return err
	}
	o.Version = versions[0]
	return nil
}

// remove deletes an object, and its domains' pointers where they are still to it.
func (s *shelf) remove(ctx context.Context, o *Object) error {
	if err := s.table.Delete(ctx, o.Name); err != nil {
		return err
	}
	for _, d := range o.Domains {
		item, err := s.kv.Get(ctx, DomainPrefix+d)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		var name string
		if json.Unmarshal(item.Value, &name) != nil || name != o.Name {
			continue
		}
		_, err = s.kv.Commit(ctx, store.Write{Key: DomainPrefix + d, Delete: true, If: item.Version})
		if err != nil && !fault.Is(err, fault.Conflict) { // it points to another one by now
			return err
		}
	}
	return nil
}

// place is what the key of an object is sealed for.
func (s *shelf) place(name string) string { return s.table.Key(name) }

func (s *shelf) seal(o *Object, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	o.Key = s.sealer.Seal(s.place(o.Name), der)
	return nil
}

// open reads the certificate of an object with its key, ready for handshakes.
func (s *shelf) open(o *Object) (*bundle, error) {
	chain, certs, err := parseChain(o.Chain) // its order was looked at when it came
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the stored certificate %q can't be used", o.Name)
	}
	der, err := s.sealer.Open(s.place(o.Name), o.Key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the stored key of the certificate %q can't be read", o.Name)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok || !sameKey(certs[0], key) {
		return nil, fault.New(fault.Internal, "the stored key of the certificate %q does not belong to it", o.Name)
	}
	return &bundle{chain: chain, leaf: certs[0], above: certs[1:], key: key}, nil
}
