package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
	"github.com/kitwork/kwnode/vm/wasm"
)

var processStart = time.Now()

func sinceStart() time.Duration { return time.Since(processStart) }

// The values of execResult.Status.
const (
	doneOK       = "ok"
	doneTrap     = "trap"
	doneOutOfGas = "out_of_gas"
	doneInvalid  = "invalid"
	doneLink     = "link"
	doneExit     = "exit"
)

// trapFailed is the trap of a program that called flow.fail; all others are vm.TrapCode's texts.
const trapFailed = "failed"

// execCall is one call in the result.
type execCall struct {
	Name    string      `json:"name"`
	Results []jsonValue `json:"results"`
	Trap    *string     `json:"trap"`
	Gas     uint64      `json:"gas"`
	CPU     int64       `json:"cpu_ns"`
}

// execResult is what --json prints; docs/EXEC.md says what the fields mean.
type execResult struct {
	Status         string        `json:"status"`
	Calls          []execCall    `json:"calls"`
	Gas            uint64        `json:"gas"`
	InstantiateGas uint64        `json:"instantiate_gas"`
	Meter          int           `json:"meter"`
	Freezes        uint64        `json:"freezes"`
	StateBytes     int           `json:"state_bytes"`
	DecodeNS       int64         `json:"decode_ns"`
	InstantiateNS  int64         `json:"instantiate_ns"`
	StateHash      string        `json:"state_hash"`
	ExitCode       uint32        `json:"exit_code"`
	Stdout         *capture      `json:"stdout"`
	Stderr         *capture      `json:"stderr"`
	Output         *string       `json:"output"` // base64
	Error          *string       `json:"error"`
	Compiled       *execCompiled `json:"compiled,omitempty"` // of --stats
}

// maxCapture bounds what a program's output may take of our memory; a write beyond is refused to the program.
const maxCapture = 64 << 20

var errFull = fmt.Errorf("output is full")

// capture takes what the program writes: through to a stream, or together for the end.
type capture struct {
	to   io.Writer
	b    []byte
	size int
}

func (c *capture) Write(p []byte) (int, error) {
	if c.size+len(p) > maxCapture {
		return 0, errFull
	}
	c.size += len(p)
	if c.to != nil {
		return c.to.Write(p)
	}
	c.b = append(c.b, p...)
	return len(p), nil
}

// MarshalJSON prints base64.
func (c *capture) MarshalJSON() ([]byte, error) {
	return []byte(`"` + base64.StdEncoding.EncodeToString(c.b) + `"`), nil
}

// execRun is one run of exec. Invariant: host, sys and store belong together; a thaw replaces all three.
type execRun struct {
	o     *execOptions
	calls []invocation
	args  []string
	cfg   vm.Config
	mem   *hostabi.Memory

	mod   *vm.Module
	store *vm.Store
	host  *hostabi.Host

	nextFreeze uint64
	out, err   capture
	res        execResult
	trap       *vm.Trap // that ended it, for the stack trace
}

func newExecRun(o *execOptions, start int64, calls []invocation, args []string) *execRun {
	r := &execRun{o: o, calls: calls, args: args, nextFreeze: o.freezeEvery}
	r.cfg.Limits.MemoryPages = o.memoryMax
	r.cfg.Clock = start
	binary.LittleEndian.PutUint64(r.cfg.Seed[:], o.seed)
	r.mem = hostabi.NewMemory("local", r.cfg.Seed)
	r.mem.Time = func() uint64 { return uint64(r.store.Clock()) }
	r.mem.GasLeft = r.gasLeft
	r.mem.LogTo = func(level uint8, msg string) { fmt.Fprintf(&r.err, "log %d: %s\n", level, msg) }
	r.res = execResult{Calls: []execCall{}, Meter: wasm.MeterVersion, Stdout: &r.out, Stderr: &r.err}
	return r
}

func (r *execRun) gasLeft() uint64 { return r.o.gas - min(r.store.Gas(), r.o.gas) }

// newHost makes the resolver for a store that starts or is thawed.
func (r *execRun) newHost() vm.Resolver {
	r.host = hostabi.New(r.mem)
	sys := wasi.New(r.host)
	sys.Stdout, sys.Stderr = &r.out, &r.err
	return vm.Resolvers{r.host, sys}
}

// run does everything; its error is one of the command line or of the engine. What the program did is in r.res.
func (r *execRun) run(ctx context.Context, code []byte) error {
	runtime.LockOSThread() // for threadCPU
	defer runtime.UnlockOSThread()
	from := threadCPU()
	mod, err := vm.Decode(code)
	r.res.DecodeNS = int64(threadCPU() - from)
	if err != nil {
		r.end(doneInvalid, err)
		return nil
	}
	r.mod = mod
	queue, err := r.plan()
	if err != nil {
		return err
	}
	defer func() {
		if r.store != nil {
			r.store.Close()
		}
	}()
	if ok, err := r.instantiate(ctx); !ok {
		return err
	}
	for _, q := range queue {
		if err := r.store.Start(r.store.Instances()[0], q.name, q.args...); err != nil {
			return err
		}
		if ok, err := r.call(ctx, q.name); !ok {
			return err
		}
	}
	r.end(doneOK, nil)
	return nil
}

type typedCall struct {
	name string
	args []vm.Value
}

// plan is what to call: _initialize where there is one, then what the command line asks for.
func (r *execRun) plan() ([]typedCall, error) {
	types := map[string]*wasm.FuncType{}
	for _, e := range r.mod.Exports() {
		if e.Kind == wasm.ExternFunc {
			types[e.Name] = e.Func
		}
	}
	var queue []typedCall
	add := func(inv invocation) error {
		t := types[inv.name]
		if t == nil {
			return fmt.Errorf("the module exports no function %q", inv.name)
		}
		args, err := inv.values(t.Params)
		queue = append(queue, typedCall{inv.name, args})
		return err
	}
	if types["_initialize"] != nil {
		if err := add(invocation{name: "_initialize"}); err != nil {
			return nil, err
		}
	}
	calls := r.calls
	if len(calls) == 0 && types["_start"] != nil {
		calls = []invocation{{name: "_start"}}
	}
	for _, c := range calls {
		if err := add(c); err != nil {
			return nil, err
		}
	}
	return queue, nil
}

// instantiate links the module and runs its start function; false ends the run.
func (r *execRun) instantiate(ctx context.Context) (bool, error) {
	resolver := r.newHost()
	if err := wasi.SetArgs(&r.host.State, append([]string{"program"}, r.args...), nil); err != nil {
		return false, err
	}
	c := execCall{Name: "(instantiate)", Results: []jsonValue{}}
	if need := r.mod.InstantiationGas(); need > r.o.gas {
		r.res.Calls = append(r.res.Calls, c)
		r.end(doneOutOfGas, fmt.Errorf("out of gas: instantiation takes %d of %d", need, r.o.gas))
		return false, nil
	}
	from := threadCPU()
	r.store = vm.NewStore(r.cfg)
	_, err := r.store.Instantiate(r.mod, resolver)
	r.res.InstantiateNS = int64(threadCPU() - from)
	stop := vm.Stop{Reason: vm.Trapped}
	switch {
	case errors.As(err, new(*vm.LinkError)):
		r.end(doneLink, err)
		return false, nil
	case errors.As(err, &stop.Trap): // a segment that doesn't fit
	case err != nil:
		return false, err
	default:
		var cpu time.Duration
		if stop, cpu, err = r.drive(ctx); err != nil {
			return false, err
		}
		r.res.InstantiateNS += int64(cpu)
	}
	r.res.InstantiateGas = r.store.Gas()
	if stop.Reason == vm.Done {
		return true, nil
	}
	c.Gas = r.res.InstantiateGas
	r.finish(c, stop)
	return false, nil
}

// call runs the started call to its end; false ends the run.
func (r *execRun) call(ctx context.Context, name string) (bool, error) {
	before := r.store.Gas()
	stop, cpu, err := r.drive(ctx)
	if err != nil {
		return false, err
	}
	c := execCall{Name: name, Results: []jsonValue{}, Gas: r.store.Gas() - before, CPU: int64(cpu)}
	return r.finish(c, stop), nil
}

// finish records a call that stopped, and says whether there may be another.
func (r *execRun) finish(c execCall, stop vm.Stop) bool {
	defer func() { r.res.Calls = append(r.res.Calls, c) }()
	switch stop.Reason {
	case vm.Done:
		for _, v := range stop.Results {
			c.Results = append(c.Results, toJSON(v))
		}
		return true
	case vm.OutOfGas:
		r.end(doneOutOfGas, fmt.Errorf("out of gas: %d used of %d", r.store.Gas(), r.o.gas))
		return false
	}
	end := r.host.State.End
	if errors.Is(stop.Trap, hostabi.ErrExit) && end != nil && !end.Fail {
		r.res.ExitCode = end.Code
		if end.Code == 0 {
			r.end(doneOK, nil)
		} else {
			r.end(doneExit, fmt.Errorf("the program exited with status %d", end.Code))
		}
		return false
	}
	text, err := stop.Trap.Code.String(), fmt.Errorf("trap: %w", stop.Trap)
	if end != nil && end.Fail {
		text, err = trapFailed, fmt.Errorf("the program failed with code %d: %s", end.Code, end.Msg)
	}
	c.Trap, r.trap = &text, stop.Trap
	r.end(doneTrap, err)
	return false
}

// end sets what the run came to.
func (r *execRun) end(status string, err error) {
	r.res.Status = status
	if err != nil {
		text := err.Error()
		r.res.Error = &text
	}
	if r.store == nil {
		return
	}
	if status == doneOK {
		r.mem.Commit()
	} else {
		r.mem.Rollback()
	}
	r.res.Gas = r.store.Gas()
	if status != doneLink {
		h, err := r.store.StateHash(r.host.State.Marshal())
		if err == nil {
			r.res.StateHash = hex.EncodeToString(h[:])
		}
	}
	if r.host.State.HasOutput {
		text := base64.StdEncoding.EncodeToString(r.host.State.Output)
		r.res.Output = &text
	}
}

// print writes the result and turns it into the exit status.
func (r *execRun) print(cmd *cobra.Command) error {
	w, errw := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if r.trap != nil {
		fmt.Fprint(errw, vm.TraceString(r.trap.Trace))
		if more := r.trap.Depth - len(r.trap.Trace); more > 0 {
			fmt.Fprintf(errw, "  and %d more\n", more)
		}
	}
	if r.o.asJSON {
		if err := printJSON(w, &r.res); err != nil {
			return err
		}
	} else {
		r.printText(w)
	}
	status := map[string]int{doneOK: execOK, doneInvalid: execRefused, doneLink: execRefused, doneTrap: execTrap,
		doneOutOfGas: execOutOfGas, doneExit: execExit}[r.res.Status]
	if status == execOK {
		return nil
	}
	return withStatus(status, errors.New(*r.res.Error))
}

// printText prints the results of each call, then what the program handed over as its output.
func (r *execRun) printText(w io.Writer) {
	for _, c := range r.res.Calls {
		for i, v := range c.Results {
			if i > 0 {
				fmt.Fprint(w, " ")
			}
			fmt.Fprint(w, v.readable())
		}
		if len(c.Results) > 0 {
			fmt.Fprintln(w)
		}
	}
	if r.host != nil && r.host.State.HasOutput {
		w.Write(r.host.State.Output)
	}
}
