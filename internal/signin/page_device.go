package signin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/oauth"
	"gatehouse/internal/site"
)

// devicePage is the body of the page where a person types a device's code.
type devicePage struct {
	Code    string
	Problem string
}

// asking is a device's request that a person has named by its code and has not
// answered yet. It travels sealed, and counts only in the session that typed
// the code.
type asking struct {
	Pending oauth.Pending `json:"pending"`
	Session string        `json:"session"`
	Until   time.Time     `json:"until"`
}

const (
	sealedAsking = "device request"
	maxCode      = 20 // characters of a typed code that are shown again
)

// device is GET /device: the form for the code, which may come filled in but is
// never sent by itself; or, after it, what the device wants.
func (p *Pages) device(c *call) error {
	s := c.session()
	if s == nil {
		here := withQuery(c.at+"/device", c.r.URL.RawQuery)
		if _, err := c.ownPage(here); err != nil {
			here = c.at + "/device"
		}
		redirect(c.w, c.at+"/signin?"+url.Values{fieldNext: {here}}.Encode())
		return nil
	}
	if request := c.asked(fieldRequest); request != "" {
		return c.confirm(request, s)
	}
	if answer := c.asked("done"); answer != "" {
		return c.deviceDone(answer)
	}
	return c.showDevice(http.StatusOK, devicePage{Code: typed(c.asked("user_code"))})
}

func (c *call) showDevice(status int, body devicePage) error {
	return c.show(status, pageDevice, view{Title: "Connect a device", Who: c.session().Person.User, Self: c.self(errand{field: field{fieldNext, c.at + "/device"}}), Data: body})
}

func typed(code string) string {
	code = strings.ToUpper(strings.TrimSpace(code))
	if len(code) > maxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- ") != "" {
		return ""
	}
	return code
}

// enterDevice is POST /device: the code, or the answer.
func (p *Pages) enterDevice(c *call) error {
	s := c.session()
	if s == nil {
		redirect(c.w, c.at+"/signin?"+url.Values{fieldNext: {c.at + "/device"}}.Encode())
		return nil
	}
	if request := c.value(fieldRequest); request != "" {
		return c.answerDevice(request, s)
	}
	code := c.value("user_code")
	pending, err := c.oauth.DeviceByUserCode(c.ctx(), c.v, code)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return c.showDevice(http.StatusUnprocessableEntity, devicePage{Code: typed(code), Problem: "No device waits with this code. Check the letters, or let the device show a new one."})
	}
	if err != nil {
		return err
	}
	sealed, err := c.sealAsking(asking{pending, s.ID, time.Now().Add(tripLifetime)})
	if err != nil {
		return err
	}
	redirect(c.w, c.at+"/device?"+url.Values{fieldRequest: {sealed}}.Encode())
	return nil
}

// confirm shows who asks, from where, and for what.
func (c *call) confirm(request string, s *oauth.Session) error {
	a, host, err := c.openAsking(request, s)
	if err != nil {
		return err
	}
	e := errand{next: c.at + "/device", field: field{fieldNext, c.at + "/device"}, pending: &a.Pending}
	person, err := c.asOf(s.Person, host)
	if err != nil {
		return err
	}
	if ok, reason := c.oauth.Permitted(host, person); !ok {
		return c.notPermitted(e, host, person, reason)
	}
	granted := c.oauth.GrantedScopes(host, person, a.Pending.Scopes)
	if len(granted) == 0 {
		return c.notPermitted(e, host, person, reasonNoScope)
	}
	body := consentOf(a.Pending, host, granted)
	body.Handle, body.Purpose.Place, body.Purpose.Program = request, a.Pending.Address, clip(a.Pending.UserAgent)
	return c.show(http.StatusOK, pageConfirm, view{Title: "Connect " + body.Client, Who: person.User, Self: c.self(e), Data: body})
}

func (c *call) answerDevice(request string, s *oauth.Session) error {
	a, host, err := c.openAsking(request, s)
	if err != nil {
		return err
	}
	person, err := c.asOf(s.Person, host)
	if err != nil {
		return err
	}
	answer := "allowed"
	switch c.value("answer") {
	case "allow":
		err = c.oauth.ApproveDevice(c.ctx(), a.Pending.Device, person, a.Pending.Scopes)
	case "limited":
		err = c.oauth.ApproveDevice(c.ctx(), a.Pending.Device, person, withoutAdmin(a.Pending.Scopes))
	case "deny":
		answer, err = "denied", c.oauth.RefuseDevice(c.ctx(), a.Pending.Device)
	default:
		return fault.BadField("answer", "must be one of the buttons on the page")
	}
	if err != nil {
		return goneDevice(err)
	}
	redirect(c.w, c.at+"/device?"+url.Values{"done": {answer}}.Encode())
	return nil
}

func (c *call) deviceDone(answer string) error {
	if answer == "allowed" {
		return c.show(http.StatusOK, pageMessage, view{Title: "Your device is connected", Data: message{Text: "You can close this page and go on there.",
			Link: &link{c.at + "/account", "See connected apps"}}})
	}
	return c.show(http.StatusOK, pageMessage, view{Title: "Nothing was connected", Data: message{Text: "The device got no access. You can close this page."}})
}

func (c *call) sealAsking(a asking) (string, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.opt.Sealer.Seal(sealedAsking, plain)), nil
}

// openAsking reads a request back, for the session that named it only.
func (c *call) openAsking(text string, s *oauth.Session) (*asking, *site.Host, error) {
	var a asking
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		var plain []byte
		if plain, err = c.opt.Sealer.Open(sealedAsking, sealed); err == nil {
			err = json.Unmarshal(plain, &a)
		}
	}
	if err == nil && (!same(a.Session, s.ID) || time.Now().After(a.Until)) {
		err = errors.New("another session's, or expired")
	}
	if err != nil {
		return nil, nil, goneDevice(fault.Wrap(fault.NotFound, err, "no such request"))
	}
	host, _, ok := c.opt.World().Resource(a.Pending.Resource)
	if !ok {
		return nil, nil, resourceGone()
	}
	return &a, host, nil
}

func goneDevice(err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	return &trouble{status: http.StatusBadRequest, reason: "device_unknown", title: "This device no longer waits",
		text: "Its code was used, or has expired. Let it show a new one and enter that.", cause: err}
}
