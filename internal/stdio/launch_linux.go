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
	Hidden    string   `json:"hidden"` // folder that the program must not read
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

// confine takes the hidden folder away, by Landlock: everything else may be read,
// written and run as far as the account may. It also keeps the program from
// looking into Gatehouse's own process, which holds secrets. Where the kernel has
// no Landlock, only another account keeps the folder from the program.
func (l *launch) confine() error {
	rights := landlock.AccessFSSet(ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSWriteFile)
	refer := landlock.AccessFSSet(ll.AccessFSRefer)
	folders, files, err := besides(l.Hidden)
	if err != nil {
		return err
	}
	err = landlock.Config{HandledAccessFS: rights | refer}.RestrictPaths(landlock.PathAccess(rights|refer, folders...).IgnoreIfMissing(), landlock.PathAccess(rights, files...).IgnoreIfMissing())
	if err != nil { // kernels before 5.19
		err = landlock.Config{HandledAccessFS: rights}.RestrictPaths(landlock.PathAccess(rights, folders...).IgnoreIfMissing(), landlock.PathAccess(rights, files...).IgnoreIfMissing())
	}
	if err != nil && unreadable(l.Hidden) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the program can't be kept from reading %s on this kernel (%w): run Gatehouse as root, so that programs get another account", l.Hidden, err)
	}
	return nil
}

// unreadable reports whether this account can't get into a folder.
func unreadable(folder string) bool {
	_, err := os.ReadDir(folder)
	return errors.Is(err, fs.ErrPermission)
}

// besides are all folders and files on the way to a folder, but for those that
// lead there.
func besides(hidden string) (folders, files []string, err error) {
	if real, err := filepath.EvalSymlinks(hidden); err == nil {
		hidden = real
	}
	at := "/"
	for next := range strings.SplitSeq(strings.Trim(hidden, "/"), "/") {
		entries, err := os.ReadDir(at)
		if errors.Is(err, fs.ErrPermission) {
			return folders, files, nil // what this account can't see it can't read
		}
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			path := filepath.Join(at, e.Name())
			switch {
			case e.Name() == next, e.Type()&fs.ModeSymlink != 0: // what a link leads to has a place of its own
			case e.IsDir():
				folders = append(folders, path)
			default:
				files = append(files, path)
			}
		}
		at = filepath.Join(at, next)
	}
	return folders, files, nil
}

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
	l := launch{Hidden: hidden, Memory: uint64(def.Memory), Command: def.Command, Args: def.Args} //nolint:gosec // positive
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
