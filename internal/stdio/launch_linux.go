package stdio

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"gatehouse/internal/fault"
	"gatehouse/internal/local"
)

// LaunchWord is the first argument with which Gatehouse runs itself to become a
// program: what is done to a process before it runs something else can't be done
// from outside without a moment in which it is not done yet.
const LaunchWord = "stdio-launch"

// launch is what the launcher is told.
type launch struct {
	Hidden    string   `json:"hidden"` // folder that is kept from the program
	Parent    int      `json:"parent"` // Gatehouse's process
	Memory    uint64   `json:"memory"`
	Processes uint64   `json:"processes"` // 0: no bound
	Command   string   `json:"command"`
	Args      []string `json:"args"`
}

const (
	openFiles = 1024
	usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Launch becomes the program that arg describes, with what is ours taken away and
// env as its environment. It returns only when that fails.
func Launch(arg string, env []string) error {
	var l launch
	if err := json.Unmarshal([]byte(arg), &l); err != nil {
		return err
	}
	runtime.LockOSThread()
	// The wish to end with Gatehouse is this thread's, which becomes the program.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("parent's death: %w", err)
	}
	if os.Getppid() == 1 && l.Parent != 1 {
		return errors.New("Gatehouse has ended") //nolint:staticcheck // a name
	}
	path := l.Command
	if !strings.Contains(path, "/") {
		found, err := exec.LookPath(path)
		if err != nil {
			return fmt.Errorf("there is no program %q in its PATH", path)
		}
		path = found
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := l.confine(); err != nil {
		return err
	}
	if err := closeOthers(); err != nil {
		return err
	}
	for _, limit := range []struct {
		what int
		most uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_NOFILE, openFiles}, {unix.RLIMIT_DATA, l.Memory}, {unix.RLIMIT_NPROC, l.Processes}} {
		if limit.most == 0 && limit.what != unix.RLIMIT_CORE {
			continue
		}
		if err := syscall.Setrlimit(limit.what, &syscall.Rlimit{Cur: limit.most, Max: limit.most}); err != nil { // syscall's: unix' Setrlimit is undone at exec
			return fmt.Errorf("limit %d: %w", limit.what, err)
		}
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, append([]string{l.Command}, l.Args...), env))
}

// closeOthers keeps what Gatehouse itself has inherited from the program.
func closeOthers() error {
	if unix.CloseRange(3, 1<<20, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	open, err := os.ReadDir("/proc/self/fd") // kernels before 5.11
	if err != nil {
		return fmt.Errorf("open descriptors: %w", err)
	}
	for _, fd := range open {
		if n, err := strconv.Atoi(fd.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
	return nil
}

// confine takes the hidden folders away, by Landlock: everything else may be used
// as far as the account may. Nothing in them can be read, listed, changed, removed
// or connected to. It also keeps the program from looking into other processes than
// its own, which hold secrets, and, where the kernel can, from sending them signals.
// Without Landlock only another account keeps the folders from the program.
func (l *launch) confine() error {
	open, err := l.besides()
	if err != nil {
		return err
	}
	all := landlock.AccessFSSet(ll.AccessFSResolveUnix<<1 - 1)
	scoped := landlock.ScopedSet(ll.ScopeSignal)
	for _, later := range []landlock.AccessFSSet{0, ll.AccessFSResolveUnix, ll.AccessFSIoctlDev, ll.AccessFSTruncate, ll.AccessFSRefer} { // what older kernels lack, newest first
		all &^= later
		for _, scope := range []landlock.ScopedSet{scoped, 0} {
			const ofFiles = landlock.AccessFSSet(ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev | ll.AccessFSResolveUnix)
			err = landlock.Config{HandledAccessFS: all, Scoped: scope}.Restrict(
				landlock.PathAccess(all, open.folders...).IgnoreIfMissing(), landlock.PathAccess(all&ofFiles, open.files...).IgnoreIfMissing())
			if err == nil {
				return nil
			}
		}
	}
	if unreadable(l.Hidden) {
		return nil
	}
	return fmt.Errorf("the program can't be kept from %s on this kernel (%w): run Gatehouse as root, so that programs get another account", l.Hidden, err)
}

// unreadable reports whether this account can't get into a folder.
func unreadable(folder string) bool {
	_, err := os.ReadDir(folder)
	return errors.Is(err, fs.ErrPermission)
}

// places are what stays open to a program.
type places struct{ folders, files []string }

// besides are the places beside the hidden folder and the folders of other
// programs: everything on the way to them, but for what leads there.
func (l *launch) besides() (places, error) {
	hidden := l.Hidden
	if real, err := filepath.EvalSymlinks(hidden); err == nil {
		hidden = real
	}
	own, err := os.Getwd()
	if err != nil {
		return places{}, err
	}
	open := places{folders: []string{own}}
	return open, open.add("/", hidden, filepath.Dir(own))
}

// add opens what is in a folder on the way to hidden or to programs, where the
// folders of programs are.
func (o *places) add(at, hidden, programs string) error {
	entries, err := os.ReadDir(at)
	if errors.Is(err, fs.ErrPermission) {
		return nil // what this account can't see it can't use
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(at, e.Name())
		switch {
		case path == hidden, e.Type()&fs.ModeSymlink != 0: // what a link leads to has a place of its own
		case at == programs && strings.HasPrefix(e.Name(), folderName): // another program's, or our own, which is open already
		case path == programs, leadsTo(path, hidden), leadsTo(path, programs):
			if err := o.add(path, hidden, programs); err != nil {
				return err
			}
		case e.IsDir():
			o.folders = append(o.folders, path)
		default:
			o.files = append(o.files, path)
		}
	}
	return nil
}

// leadsTo reports whether a folder is above another.
func leadsTo(path, to string) bool { return strings.HasPrefix(to, path+"/") }

// run starts the program of a definition in a new, empty folder.
func run(def local.Definition, dataDir string) (*program, error) {
	who, err := account(def.User)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", folderPrefix(dataDir))
	if err != nil {
		return nil, err
	}
	p, err := begin(def, dataDir, dir, who)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

// account is whom programs run as: where we are root, somebody else.
func account(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // as ourselves
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "there is no account %q here for the program to run as", name)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, err
	}
	if uid == 0 {
		return nil, fault.New(fault.Unavailable, "programs never run as root: name another user in the definition")
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func begin(def local.Definition, dataDir, dir string, who *syscall.Credential) (*program, error) {
	hidden, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	l := launch{Hidden: hidden, Parent: os.Getpid(), Memory: uint64(def.Memory), Command: def.Command, Args: def.Args} //nolint:gosec // positive
	if who != nil {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			return nil, err
		}
		l.Processes = uint64(def.Processes) //nolint:gosec // positive
	}
	arg, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", LaunchWord, string(arg)) //nolint:gosec,noctx // ourselves; it is ended by end
	cmd.Dir, cmd.Env = dir, environment(def.Env, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: who}
	p := &program{}
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	stderr, errErr := cmd.StderrPipe()
	if err := errors.Join(inErr, outErr, errErr); err != nil {
		return nil, err
	}
	p.stdin, p.stdout, p.stderr = stdin, stdout, stderr
	ended := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The kernel ends the program with the thread that began it (Pdeathsig), so
		// that thread stays until the program has ended. Both channels have room.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		state, err := cmd.Process.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it has left behind; there may be nothing
		endIn([]string{dir})
		err = errors.Join(err, os.RemoveAll(dir))
		if err == nil && !state.Success() {
			err = errors.New(state.String())
		}
		ended <- err
	}()
	if err := <-started; err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the program of stdio:%s can't be started", def.Name)
	}
	p.wait = func() error { return <-ended }
	p.kill = func(hard bool) {
		signal := syscall.SIGTERM
		if hard {
			signal = syscall.SIGKILL
		}
		_ = syscall.Kill(-cmd.Process.Pid, signal) // it may be gone already
	}
	return p, nil
}

// environment is all that a program gets.
func environment(given map[string]string, dir string) []string {
	all := map[string]string{"PATH": usualPath, "HOME": dir, "TMPDIR": dir, "LANG": "C.UTF-8"}
	maps.Copy(all, given)
	env := make([]string, 0, len(all))
	for name, value := range all {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// endIn kills the processes whose working folder is one of these or below: what a
// program has begun, and what did not end with it.
func endIn(folders []string) {
	processes, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return
	}
	for _, link := range processes {
		at, err := os.Readlink(link)
		if err != nil || !slices.ContainsFunc(folders, func(f string) bool { return at == f || strings.HasPrefix(at, f+"/") || strings.HasPrefix(at, f+" ") }) {
			continue // gone meanwhile, or somebody else's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
		}
	}
}
