package wasi

import (
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
)

// function is one row of WASI: the parameters (i for i32, I for i64), the charge, and what it does. A result is an
// errno, except of proc_exit, which has none.
type function struct {
	params   string
	gas      func([]vm.Value) uint64
	do       func(*System, *vm.HostCall) (Errno, error)
	noResult bool
}

// Charges, in units of the VM's meter and part of its version (see package hostabi). BenchmarkCalls says how they stand
// to the time that the calls take.
const (
	gasCall   = 200
	gasArgs   = gasCall + hostabi.MaxArgBytes/8 // of the bytes that may have to be copied
	gasWrite  = gasCall + maxWrite/4            // output is kept, as a log line is
	gasRandom = 1_000
	gasSleep  = 1_000

	forVec    = 8  // units for a buffer that a call names
	forSub    = 64 // units for a subscription
	forRandom = 4  // units for a random byte
)

func flat(units uint64) func([]vm.Value) uint64 {
	return func([]vm.Value) uint64 { return units }
}

// perVec charges for the buffers that a call names.
func perVec(base uint64) func([]vm.Value) uint64 {
	return func(a []vm.Value) uint64 { return base + forVec*uint64(min(a[2].U32(), maxVecs+1)) }
}

func answer(e Errno) func(*System, *vm.HostCall) (Errno, error) {
	return func(*System, *vm.HostCall) (Errno, error) { return e, nil }
}

// stream answers e for a standard stream and EBADF for any other descriptor.
func stream(e Errno) func(*System, *vm.HostCall) (Errno, error) {
	return func(_ *System, c *vm.HostCall) (Errno, error) {
		if arg(c, 0) > stderr {
			return eBadF, nil
		}
		return e, nil
	}
}

var functions = map[string]function{
	"args_get":          {"ii", flat(gasArgs), func(w *System, c *vm.HostCall) (Errno, error) { return stringsGet(c, w.host.State.Args) }, false},
	"args_sizes_get":    {"ii", flat(gasCall), func(w *System, c *vm.HostCall) (Errno, error) { return sizesGet(c, w.host.State.Args) }, false},
	"environ_get":       {"ii", flat(gasArgs), func(w *System, c *vm.HostCall) (Errno, error) { return stringsGet(c, w.host.State.Env) }, false},
	"environ_sizes_get": {"ii", flat(gasCall), func(w *System, c *vm.HostCall) (Errno, error) { return sizesGet(c, w.host.State.Env) }, false},

	"clock_res_get":  {"ii", flat(gasCall), clockRes, false},
	"clock_time_get": {"iIi", flat(gasCall), (*System).clockTime, false},
	"random_get": {"ii", func(a []vm.Value) uint64 {
		return gasRandom + forRandom*uint64(min(a[1].U32(), maxRandom+1))
	}, (*System).randomGet, false},
	"poll_oneoff": {"iiii", func(a []vm.Value) uint64 {
		return gasSleep + forSub*uint64(min(a[2].U32(), hostabi.MaxPoll+1))
	}, (*System).pollOneoff, false},
	"proc_exit":   {"i", flat(gasCall), (*System).procExit, true},
	"proc_raise":  {"i", flat(gasCall), answer(eNoSys), false},
	"sched_yield": {"", flat(gasCall), answer(ok), false},

	"fd_write":            {"iiii", perVec(gasWrite), (*System).fdWrite, false},
	"fd_read":             {"iiii", perVec(gasCall), fdRead, false},
	"fd_fdstat_get":       {"ii", flat(gasCall), fdstat, false},
	"fd_filestat_get":     {"ii", flat(gasCall), filestat, false},
	"fd_fdstat_set_flags": {"ii", flat(gasCall), stream(ok), false},
	"fd_close":            {"i", flat(gasCall), stream(ok), false},
	"fd_sync":             {"i", flat(gasCall), stream(ok), false},
	"fd_datasync":         {"i", flat(gasCall), stream(ok), false},
	"fd_seek":             {"iIii", flat(gasCall), stream(eSPipe), false},
	"fd_tell":             {"ii", flat(gasCall), stream(eSPipe), false},
	"fd_pread":            {"iiiIi", flat(gasCall), stream(eSPipe), false},
	"fd_pwrite":           {"iiiIi", flat(gasCall), stream(eSPipe), false},

	// There are no files and no directories to open one in, so no descriptor beyond the three.
	"fd_prestat_get":          {"ii", flat(gasCall), answer(eBadF), false},
	"fd_prestat_dir_name":     {"iii", flat(gasCall), answer(eBadF), false},
	"fd_advise":               {"iIIi", flat(gasCall), answer(eBadF), false},
	"fd_allocate":             {"iII", flat(gasCall), answer(eBadF), false},
	"fd_fdstat_set_rights":    {"iII", flat(gasCall), answer(eBadF), false},
	"fd_filestat_set_size":    {"iI", flat(gasCall), answer(eBadF), false},
	"fd_filestat_set_times":   {"iIIi", flat(gasCall), answer(eBadF), false},
	"fd_readdir":              {"iiiIi", flat(gasCall), answer(eBadF), false},
	"fd_renumber":             {"ii", flat(gasCall), answer(eBadF), false},
	"path_create_directory":   {"iii", flat(gasCall), answer(eBadF), false},
	"path_filestat_get":       {"iiiii", flat(gasCall), answer(eBadF), false},
	"path_filestat_set_times": {"iiiiIIi", flat(gasCall), answer(eBadF), false},
	"path_link":               {"iiiiiii", flat(gasCall), answer(eBadF), false},
	"path_open":               {"iiiiiIIii", flat(gasCall), answer(eBadF), false},
	"path_readlink":           {"iiiiii", flat(gasCall), answer(eBadF), false},
	"path_remove_directory":   {"iii", flat(gasCall), answer(eBadF), false},
	"path_rename":             {"iiiiii", flat(gasCall), answer(eBadF), false},
	"path_symlink":            {"iiiii", flat(gasCall), answer(eBadF), false},
	"path_unlink_file":        {"iii", flat(gasCall), answer(eBadF), false},
	"sock_accept":             {"iii", flat(gasCall), answer(eBadF), false},
	"sock_recv":               {"iiiiii", flat(gasCall), answer(eBadF), false},
	"sock_send":               {"iiiii", flat(gasCall), answer(eBadF), false},
	"sock_shutdown":           {"ii", flat(gasCall), answer(eBadF), false},
}
