package site

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestPatchKeepsWhatIsNotNamedAndResetsNull(t *testing.T) {
	p := good()
	p.AuthMode, p.PreserveHostHeader, p.AuthRequiredUsers, p.AuthRealm = ModeRedirect, false, []string{"a"}, "x"
	got, err := patched(t, p, `{"preserve_host_header":null,"auth_required_users":null,"auth_realm":"y","oauth_user_users":[]}`)
	if err != nil {
		t.Fatal(err)
	}
	if !got.PreserveHostHeader || got.AuthRequiredUsers != nil || got.AuthRealm != "y" || got.AuthMode != ModeRedirect || got.OAuthUserUsers == nil {
		t.Errorf("%+v", got)
	}
	if p.AuthRealm != "x" || p.PreserveHostHeader {
		t.Error("the proxy that was patched has changed")
	}
}

// Who reads an object, changes a field and sends all of it back is understood.
func TestPatchTakesBackWhatWasRead(t *testing.T) {
	p := good()
	p.CreatedBy, p.CreatedAt, p.Version = "bob", time.Date(2026, 1, 2, 3, 4, 5, 6000000, time.UTC), 9
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := patched(t, p, string(raw))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := mustJSON(t, got), mustJSON(t, p); a != b {
		t.Errorf("changed:\n%s\n%s", a, b)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestRoutePatch(t *testing.T) {
	r := DefaultRoute()
	r.ID, r.PathPattern, r.Target, r.Priority = "a", "/a", "http://b", 7
	got, err := ApplyRoutePatch(r, Patch{"priority": json.RawMessage("null"), "methods": json.RawMessage(`["get"]`), "auth_config": json.RawMessage(`{"auth_type":"oauth","allowed_users":["x"]}`)})
	if err != nil || got.Priority != DefaultPriority || got.Methods[0] != "get" || got.Auth.AllowedUsers[0] != "x" {
		t.Errorf("%+v %v", got, err)
	}
	for field, value := range map[string]string{"route_id": `"b"`, "built_in": "true", "Priority": "1", "auth_config": `{"users":["x"]}`, "priority": `"high"`} {
		if _, err := ApplyRoutePatch(r, Patch{field: json.RawMessage(value)}); err == nil {
			t.Errorf("%s: %s is taken", field, value)
		}
	}
}

// A copy must share nothing with its original that a change would reach.
func TestCloneSharesNothing(t *testing.T) {
	var p Proxy
	v := reflect.ValueOf(&p).Elem()
	for _, f := range v.Fields() {
		switch f.Kind() {
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		}
	}
	c := reflect.ValueOf(p.Clone())
	for i := range v.NumField() {
		if f := v.Field(i); (f.Kind() == reflect.Slice || f.Kind() == reflect.Map) && f.Pointer() == c.Field(i).Pointer() {
			t.Errorf("%s is shared", v.Type().Field(i).Name)
		}
	}
}

func FuzzApplyPatch(f *testing.F) {
	for _, s := range []string{`{"enabled":true}`, `{"targets":[{"url":"x"}]}`, `{"mcp_tools":[{}]}`, `{"custom_headers":{"a":"b"}}`, `{"resource_custom_metadata":{"a":[{}]}}`, `{"created_at":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var patch Patch
		if json.Unmarshal([]byte(s), &patch) != nil {
			return
		}
		p, err := ApplyPatch(good(), patch)
		if err != nil {
			return
		}
		p = p.Normalize()
		if p.Validate(Ordinary) != nil {
			return
		}
		if _, err := NewHost(p, Ordinary, nil); err != nil {
			t.Fatalf("%s is valid and can't be compiled: %v", s, err)
		}
		if again := p.Normalize(); mustJSON(t, again) != mustJSON(t, p) {
			t.Fatalf("%s is not stable: %s %s", s, mustJSON(t, p), mustJSON(t, again))
		}
	})
}
