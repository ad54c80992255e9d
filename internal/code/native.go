package code

// Layout is where compiled code finds what it shares with the interpreter: byte offsets into the machine, whose address
// it is given, and into the structures that the machine points to. The interpreter's package fills it in, so that the
// compiler needs no knowledge of its types.
type Layout struct {
	PC, FP, Gas, Cur, Mem, MemLen, Funcs, Globals, Tables, StackEnd, Header int32

	Near  int32 // how many addresses have NearBytes of memory behind them
	Limit int32 // the lowest native stack pointer at which a function may begin
	Leave int32 // the native stack pointer at which compiled code left; what is between it and Base was called
	// Entries points to one address for each function of the module: its compiled code, or that of NoCode.
	Entries int32
	Target  int32 // address inside the code where execution goes on
	Base    int32 // the native stack pointer to leave with, below which is the entered function's return address
	Exit    int32 // a NativeExit, with the trap code above its low byte; 32 bits

	TableBase, TableSize int32 // in a table; the size is 32 bits
	FuncSig              int32 // in a Func
}

// NearBytes is how far behind an address compiled code may access memory by comparing the address alone. An address
// nearer to memory's end is looked at more closely.
const NearBytes = 1024

// NativeExit says why compiled code came back. PC, FP, Cur and Gas are up to date, and every live value is in its
// home slot.
type NativeExit uint8

const (
	ExitGas    NativeExit = iota // PC is at a Charge that, with what was to be paid ahead, isn't covered; nothing was taken
	ExitTrap                     // the trap code is above; PC is at the instruction
	ExitCall                     // PC is at a call that compiled code can't make
	ExitReturn                   // a frame returned whose header has tag bits; FP is that frame, Header its header
	ExitResume                   // a frame returned to a caller that isn't on the native stack; PC is behind its call
	ExitRare                     // PC is at an instruction that the interpreter executes outside its loop
	ExitStep                     // PC is at an instruction that the interpreter executes, up to the next Charge
)

// Tags in the low bits of a header's first word, an instruction's address.
const (
	TagEntry = 1 // the host made the frame; there is no caller
	TagCross = 2 // the caller belongs to another instance
	TagMask  = 7
)

// Trap codes that compiled code raises, as numbers that the continuation format fixes.
const (
	NativeTrapUnreachable    = 1
	NativeTrapMemory         = 2
	NativeTrapUndefined      = 4
	NativeTrapUninitialized  = 5
	NativeTrapSignature      = 6
	NativeTrapDivideByZero   = 7
	NativeTrapOverflow       = 8
	NativeTrapInvalidConvert = 9
)
