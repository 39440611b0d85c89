package oauth

import (
	"errors"
	"slices"
	"time"
)

// The refresh tokens of a grant are its family. A token that is presented gives a
// pair and is used; presented again within tolerance it gives another pair, for
// the answer may have been lost, or several places may share one token. What
// nobody has used yet is a branch.
//
// Each lost answer so leaves a branch that nobody holds, and a year has many lost
// answers. They must not add up until an honest client is logged out, so at
// maxBranches the branch that is most likely lost makes room: one of several that
// were given for the same token, another of which was used since. It rests: it no
// longer counts among the living. Should it be presented after all, somebody
// holds it, and it takes the place of one that is likelier lost.
//
// A family ends, as stolen, when a token comes back after its tolerance; when one
// token is to give more than maxBranches pairs, those not counted that this
// process, being killed, may have kept from arriving; and when none of maxBranches
// branches can be a lost one, so that a ninth place would be real.
const (
	tolerance   = 120 * time.Second
	maxBranches = 8
	idleLife    = 90 * 24 * time.Hour

	maxRotated = 128 // used tokens that are remembered; an honest family uses a few in its tolerance
	maxResting = 128
	shortHash  = 16 // hex digits that name a token within its family
)

var (
	errReused      = errors.New("refresh_reused")
	errTooBranched = errors.New("refresh_branches")
)

// present notes that the token with this hash was presented, and that one with
// the hash next is given for it. started is since when this process has been
// serving. The error says that the token was stolen.
func (g *Grant) present(hash, next string, now, started time.Time) error {
	g.own()
	g.forget(now)
	i := slices.IndexFunc(g.Rotated, func(b Branch) bool { return sameText(b.Hash, hash) })
	if i < 0 {
		if !g.use(hash) {
			return errReused
		}
		i = len(g.Rotated)
		g.Rotated = append(g.Rotated, Branch{Hash: hash, At: now})
	}
	from := &g.Rotated[i]
	if from.Latest.Before(started) {
		from.Given = 0
	}
	if from.Given >= maxBranches || (len(g.Branches) >= maxBranches && !g.makeRoom(short(hash))) {
		return errTooBranched
	}
	from.Given, from.Latest = from.Given+1, now
	g.Branches = append(g.Branches, Branch{Hash: next, At: now, From: short(hash)})
	g.trim()
	return nil
}

// use takes a token off those that nobody has used.
func (g *Grant) use(hash string) bool {
	if i := slices.IndexFunc(g.Resting, func(s string) bool { return sameText(s, short(hash)) }); i >= 0 {
		g.Resting = slices.Delete(g.Resting, i, i+1)
		return true
	}
	i := slices.IndexFunc(g.Branches, func(b Branch) bool { return sameText(b.Hash, hash) })
	if i < 0 {
		return false
	}
	from := g.Branches[i].From
	g.Branches = slices.Delete(g.Branches, i, i+1)
	if from == "" {
		return true
	}
	for j := range g.Branches {
		if g.Branches[j].From == from {
			g.Branches[j].Passed++
		}
	}
	for j := range g.Rotated {
		g.Rotated[j].Arrived = g.Rotated[j].Arrived || short(g.Rotated[j].Hash) == from
	}
	return true
}

// makeRoom lets one branch rest, while another is to be given for the token
// called from; false: each of them may be somebody's only one.
func (g *Grant) makeRoom(from string) bool {
	best := -1
	for i := range g.Branches {
		if d := g.doubt(i, from); d > 0 && (best < 0 || d > g.doubt(best, from)) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	g.Resting = append(g.Resting, short(g.Branches[best].Hash))
	g.Branches = slices.Delete(g.Branches, best, best+1)
	return true
}

// doubt is how likely the branch at i is a lost one; 0: it may be all that its
// holder has. Of equals the oldest is likeliest.
func (g *Grant) doubt(i int, from string) int {
	b := g.Branches[i]
	switch {
	case b.From == "":
		return 0
	case b.Passed == 1:
		return 3 // the token was repeated, and whoever repeated it went on with the other pair
	case b.Passed > 1:
		return 1 // several places shared the token, this one may be another's
	case b.From == from, slices.ContainsFunc(g.Branches[i+1:], func(later Branch) bool { return later.From == b.From }):
		return 2 // the token was repeated, and no pair has been used so far
	}
	return 0
}

// forget drops branches that nobody has used for too long, and used tokens
// whose tolerance is over.
func (g *Grant) forget(now time.Time) {
	g.Branches = slices.DeleteFunc(g.Branches, func(b Branch) bool { return now.Sub(b.At) > idleLife })
	g.Rotated = slices.DeleteFunc(g.Rotated, func(b Branch) bool { return now.Sub(b.At) > tolerance })
}

// trim bounds the record. Of the used tokens those go first whose pair is known
// to have arrived.
func (g *Grant) trim() {
	for len(g.Rotated) > maxRotated {
		i := max(slices.IndexFunc(g.Rotated, func(b Branch) bool { return b.Arrived }), 0)
		g.Rotated = slices.Delete(g.Rotated, i, i+1)
	}
	if over := len(g.Resting) - maxResting; over > 0 {
		g.Resting = slices.Delete(g.Resting, 0, over)
	}
}

// own makes the lists this copy's, so that changing them changes no other.
func (g *Grant) own() {
	g.Branches, g.Rotated, g.Resting = slices.Clone(g.Branches), slices.Clone(g.Rotated), slices.Clone(g.Resting)
}

// unused reports whether the token with this hash could be presented for the
// first time.
func (g *Grant) unused(hash string) bool {
	return slices.ContainsFunc(g.Branches, func(b Branch) bool { return sameText(b.Hash, hash) }) ||
		slices.ContainsFunc(g.Resting, func(s string) bool { return sameText(s, short(hash)) })
}

func short(hash string) string { return hash[:min(len(hash), shortHash)] }
