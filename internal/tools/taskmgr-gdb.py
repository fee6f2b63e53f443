# What the coroutines of taskmgr's loops do, in gdb 8 or newer, in a live process or a core.
#
#     (gdb) source taskmgr-gdb.py
#     (gdb) taskmgr coroutines              each one: name, state, what it waits for, where it stands
#     (gdb) taskmgr coroutines -q           without back-traces
#     (gdb) taskmgr coroutines NAME         only those of this name
#     (gdb) taskmgr enter ADDRESS           look around in one: backtrace, frame 3, info locals
#     (gdb) taskmgr leave                   back to where the thread stands
#
# It needs the debugging symbols of the library, and the thread-local data of the process, for which
# gdb loads libthread_db.
#
# A parked coroutine is a stack with what tasks/loop/switch.c has saved on it. An unwinder tells gdb
# that below the newest frame of the thread comes the one that called the switch; no register is
# written, so it works with a core, and the process can go on afterwards. A core is to be the
# kernel's: where the guards of the stacks are marks inside a mapping (Linux 6.13), gdb's own
# generate-core-file cannot read past them and leaves the stacks out.

import re

import gdb
from gdb.unwinder import Unwinder, register_unwinder

STATES = ["NEW", "RUNNABLE", "RUNNING", "PARKED", "ENDED"]

# Where tmgr__switch() leaves each register: its number of words above the stack pointer, and how far
# above it the stack goes on when they are restored.
SAVED = {
    "x86-64": ({"r15": 1, "r14": 2, "r13": 3, "r12": 4, "rbx": 5, "rbp": 6, "rip": 7}, 64),
    "aarch64": (dict([("x%d" % i, i - 17) for i in range(19, 31)] + [("pc", 13)]), 176),
}
STACK_POINTER = {"x86-64": "rsp", "aarch64": "sp"}
PROGRAM_COUNTER = {"x86-64": "rip", "aarch64": "pc"}
# Of the registers in a ucontext_t.
GREGS = {"r12": 4, "r13": 5, "r14": 6, "r15": 7, "rbp": 10, "rbx": 11, "rsp": 15, "rip": 16}


def machine(architecture):
    name = architecture.name()
    if "x86-64" in name and "x32" not in name:
        return "x86-64"
    if name.startswith("aarch64"):
        return "aarch64"
    raise gdb.GdbError("back-traces of coroutines are for x86-64 and arm64, not " + name)


def word(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


# Elsewhere the switch is made by swapcontext().
def switch_is_ours():
    try:
        gdb.parse_and_eval("(long)&tmgr__switch_trampoline")
    except gdb.error:
        return False
    return True


# The registers that a fiber goes on with.
def registers_of(fiber, kind):
    sp = int(fiber["sp"])
    if switch_is_ours():
        at, size = SAVED[kind]
        registers = dict((name, word(sp + 8 * i)) for name, i in at.items())
        registers[STACK_POINTER[kind]] = sp + size
        return registers
    saved = fiber["sp"].cast(gdb.lookup_type("ucontext_t").pointer())["uc_mcontext"]
    if kind == "x86-64":
        return dict((name, int(saved["gregs"][i]) & (1 << 64) - 1) for name, i in GREGS.items())
    registers = dict(("x%d" % i, int(saved["regs"][i])) for i in range(19, 31))
    return dict(registers, sp=int(saved["sp"]), pc=int(saved["pc"]))


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


# While it is on, the newest frame of one thread is followed by those of a coroutine.
class CoroutineUnwinder(Unwinder):
    def __init__(self):
        super().__init__("taskmgr coroutine")
        self.off()

    def on(self, kind, registers):
        frame = newest_real_frame()
        self.kind = kind
        self.thread = gdb.selected_thread().ptid
        self.sp = int(frame.read_register(STACK_POINTER[kind])) & (1 << 64) - 1
        self.pc = frame.pc()
        self.registers = registers
        gdb.invalidate_cached_frames()

    def off(self):
        self.registers = None
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.registers is None or gdb.selected_thread().ptid != self.thread:
            return None
        sp = int(pending.read_register(STACK_POINTER[self.kind])) & (1 << 64) - 1
        pc = int(pending.read_register(PROGRAM_COUNTER[self.kind])) & (1 << 64) - 1
        if sp != self.sp or pc != self.pc:
            return None
        # Frames have to come one above the other.
        below = self.registers[STACK_POINTER[self.kind]] - 64
        info = pending.create_unwind_info(FrameId(gdb.Value(below), gdb.Value(pc)))
        unsigned = gdb.lookup_type("unsigned long")
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(unsigned))
        return info


unwinder = CoroutineUnwinder()
register_unwinder(None, unwinder, replace=True)


# Inlined functions stand above the frame that they are inlined into.
def newest_real_frame():
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame


# The text of gdb's own command, without the frames that are the thread's.
def backtrace(own):
    text = gdb.execute("backtrace", to_string=True)
    lines = []
    for line in text.splitlines():
        match = re.match(r"#(\d+) +(.*)", line)
        if not match:
            continue
        number = int(match.group(1)) - own
        if number >= 0:
            lines.append("    #%-2d %s" % (number, match.group(2)))
    return lines


def backtrace_of(coroutine):
    kind = machine(gdb.newest_frame().architecture())
    unwinder.on(kind, registers_of(coroutine["fiber"], kind))
    try:
        own = 1
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
            own += 1
        return backtrace(own)
    finally:
        unwinder.off()


def coroutines_of(loop):
    kind = gdb.lookup_type("struct tmgr_coroutine")
    offset = [f for f in kind.fields() if f.name == "all"][0].bitpos // 8
    head = loop["all"].address
    node = loop["all"]["next"]
    while node != head:
        yield gdb.Value(int(node) - offset).cast(kind.pointer()).dereference()
        node = node["next"]


# The loop that the selected thread runs, or None.
def loop_here():
    try:
        loop = gdb.parse_and_eval("tmgr__loop_here")
    except gdb.error as error:
        if "No symbol" in str(error):
            raise gdb.GdbError("no debugging symbols of taskmgr are there")
        return None, str(error)
    # Optimized or not, a library without debugging symbols has no type for it.
    if loop.type.code != gdb.TYPE_CODE_PTR:
        raise gdb.GdbError("no debugging symbols of taskmgr are there")
    return (loop.dereference() if int(loop) != 0 else None), None


def thread_text(thread):
    return "thread %d (%s)" % (thread.num, thread.name or "LWP %d" % thread.ptid[1])


# Calls function(thread, loop) with the thread selected, for each that runs a loop.
def each_loop(function):
    selected = gdb.selected_thread()
    if selected is None:
        raise gdb.GdbError("there is no process")
    frame = gdb.selected_frame()
    found = 0
    trouble = None
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            loop, error = loop_here()
            trouble = trouble or error
            if loop is not None:
                found += 1
                function(thread, loop)
    finally:
        selected.switch()
        if frame.is_valid():
            frame.select()
    if found == 0:
        gdb.write("No thread runs a loop%s.\n" % (", or: " + trouble if trouble else ""))


def state_of(coroutine):
    for name in STATES:
        if int(coroutine["state"]) == int(gdb.parse_and_eval("TMGR__COROUTINE_" + name)):
            return "waiting" if name == "PARKED" else name.lower()
    return "in state %d" % int(coroutine["state"])


def waiting_for(coroutine):
    base = coroutine["context"]["base"]
    if int(base) == 0 or int(base["waiting"]) == 0:
        return ""
    text = base["waiting"].string()
    if text == "descriptor" and int(base["waiting_fd"]) >= 0:
        text += " %d" % int(base["waiting_fd"])
    return text


def title(coroutine):
    state = state_of(coroutine)
    what = waiting_for(coroutine) if state == "waiting" else ""
    return "%s'%s' at 0x%x: %s%s" % (
        "task " if int(coroutine["hosted"]) != 0 else "",
        coroutine["own_name"].string(),
        int(coroutine.address),
        state,
        ": " + what if what else "",
    )


def show(coroutine, quiet):
    gdb.write("  %s\n" % title(coroutine))
    if quiet:
        return
    if not coroutine["begun"]:
        gdb.write("    has not begun\n")
    elif state_of(coroutine) == "running":
        gdb.write("\n".join(backtrace(0)) + "\n")
    else:
        gdb.write("\n".join(backtrace_of(coroutine)) + "\n")


class Taskmgr(gdb.Command):
    """What the tasks of taskmgr do."""

    def __init__(self):
        super().__init__("taskmgr", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class Coroutines(gdb.Command):
    """List the coroutines of all loops, with back-traces.
Usage: taskmgr coroutines [-q] [NAME]
-q leaves the back-traces out; with NAME only those of that name are shown."""

    def __init__(self):
        super().__init__("taskmgr coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        quiet = "-q" in words
        names = [w for w in words if w != "-q"]
        unwinder.off()

        def show_loop(thread, loop):
            gdb.write(
                "%s: loop 0x%x, %d coroutines, %d of them runnable\n"
                % (thread_text(thread), int(loop.address), int(loop["coroutines"]), int(loop["runnable"]))
            )
            for coroutine in coroutines_of(loop):
                if not names or coroutine["own_name"].string() in names:
                    show(coroutine, quiet)

        each_loop(show_loop)


class Enter(gdb.Command):
    """Look around in a coroutine that does not run: backtrace, frame, info locals.
Usage: taskmgr enter ADDRESS
Frame 0 stays that of the thread; the coroutine's follow."""

    def __init__(self):
        super().__init__("taskmgr enter", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        try:
            address = int(gdb.parse_and_eval(argument))
        except gdb.error:
            raise gdb.GdbError("which? taskmgr coroutines -q shows their addresses")
        unwinder.off()
        found = []

        def look(thread, loop):
            for coroutine in coroutines_of(loop):
                if int(coroutine.address) == address:
                    found.append((thread, coroutine))

        each_loop(look)
        if not found:
            raise gdb.GdbError("no loop has a coroutine at that address")
        thread, coroutine = found[0]
        if not coroutine["begun"] or state_of(coroutine) == "running":
            raise gdb.GdbError("it has not begun, or it runs: then its thread stands in it")
        thread.switch()
        kind = machine(gdb.newest_frame().architecture())
        unwinder.on(kind, registers_of(coroutine["fiber"], kind))
        gdb.write("in %s\n" % title(coroutine))


class Leave(gdb.Command):
    """Go back to where the thread stands, after taskmgr enter."""

    def __init__(self):
        super().__init__("taskmgr leave", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        unwinder.off()


Taskmgr()
Coroutines()
Enter()
Leave()
