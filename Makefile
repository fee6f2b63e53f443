# make            the library, static and shared, and taskctl, in build/
# make demo       a daemon made with it, on this machine's log files
# make test       everything that proves it; T=name for one program only, T='a b' for several
# make install    PREFIX, LIBDIR, BINDIR and DESTDIR say where to
#
# V=1 shows whole commands, WERROR=1 tolerates no warning, NO_INSTALL=1 lets demo and test only say
# which Debian packages are missing. The other targets: examples minimq minimq-bench bench asan tsan
# valgrind held-up coverage crash crash-long lint format doc uninstall dist clean.

# ---- What belongs to the caller --------------------------------------------------------------

BUILD ?= build
# Dependencies name their targets as they were built: always the same way, whoever asks.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
DESTDIR ?=
CFLAGS ?= -O2 -g
CPPFLAGS ?=
LDFLAGS ?=
JOBS ?= 2

# ---- Sources ---------------------------------------------------------------------------------
# A folder that does not exist yet is an empty list. The SQLite store is a library of its own, so
# that only its users need SQLite.

PUBLIC_HEADERS := $(wildcard include/taskmgr/*.h include/taskmgr/*/*.h)
LIB_SOURCES := $(wildcard taskmgr/base/*.c taskmgr/*.c tasks/*.c tasks/loop/*.c tasks/machine/*.c)
LIB_SOURCES += $(filter-out tasks/process/store_sqlite%,$(wildcard tasks/process/*.c))
LIB_SOURCES += $(filter-out tasks/inspector/taskctl%,$(wildcard tasks/inspector/*.c))
# A program: its sources are not the library's.
TASKCTL_SOURCES := $(wildcard tasks/inspector/taskctl*.c)

SQLITE_HEADERS := include/taskmgr/tasks/process_sqlite.h
SQLITE_SOURCES := $(wildcard tasks/process/store_sqlite*.c)
SQLITE_MAP := tasks/process/store_sqlite.map

PKG_SOURCES := $(wildcard internal/examples/pkg/*/*.c)
CMD_SOURCES := $(wildcard internal/examples/cmd/*/*.c)
EXAMPLE_NAMES := $(sort $(patsubst internal/examples/cmd/%/,%,$(dir $(CMD_SOURCES))))

# State machines that people write as X.states are made into build/gen/.../X.h and X.c.
STATES_FILES := $(wildcard internal/examples/*/*/*.states tests/support/*.states)
GENERATED := $(STATES_FILES:%.states=$(BUILD)/gen/%.c)
GENERATED_HEADERS := $(GENERATED:.c=.h)

# The fuzzer brings a main of its own in place of replay's.
SUPPORT_SOURCES := $(filter-out $(if $(FUZZ),%/replay.c),$(wildcard tests/support/*.c))
TEST_SOURCES := $(wildcard tests/test_*.c tests/scenario/*.c tests/stress/*.c)
TEST_SCRIPTS := $(wildcard tests/*.sh)
FUZZ_SOURCES := $(wildcard tests/fuzz/*.c)
# A folder beside a benchmark holds parts of it.
BENCH_HELPERS := $(wildcard $(addprefix tests/bench/,measure.c bare.c in_loop.c))
BENCH_SOURCES := $(filter-out $(BENCH_HELPERS),$(wildcard tests/bench/*.c))
BENCH_PARTS := $(wildcard tests/bench/*/*.c)
# Preloaded into test programs.
HELD_UP_SOURCES := $(wildcard tests/held_up/*.c)

C_SOURCES := $(LIB_SOURCES) $(SQLITE_SOURCES) $(TASKCTL_SOURCES) $(PKG_SOURCES) $(CMD_SOURCES) \
	$(SUPPORT_SOURCES) $(TEST_SOURCES) \
	$(FUZZ_SOURCES) $(BENCH_SOURCES) $(BENCH_HELPERS) $(BENCH_PARTS) $(HELD_UP_SOURCES)
C_HEADERS := $(PUBLIC_HEADERS) $(shell find taskmgr tasks internal tests -name '*.h' 2>/dev/null)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

# ---- Version and products --------------------------------------------------------------------
# Before 1.0 interfaces may change with the minor version, so the soname carries it.

version_part = $(shell awk '$$2 == "TMGR_VERSION_$(1)" { print $$3 }' include/taskmgr/version.h)
MAJOR := $(call version_part,MAJOR)
MINOR := $(call version_part,MINOR)
VERSION := $(MAJOR).$(MINOR).$(call version_part,PATCH)

SOVERSION := $(if $(filter 0,$(MAJOR)),0.$(MINOR),$(MAJOR))
SONAME := libtaskmgr.so.$(SOVERSION)
REALNAME := libtaskmgr.so.$(VERSION)
SQLITE_SONAME := libtaskmgr-sqlite.so.$(SOVERSION)
SQLITE_REALNAME := libtaskmgr-sqlite.so.$(VERSION)

STATIC_LIB := $(BUILD)/libtaskmgr.a
SHARED_LIB := $(BUILD)/$(REALNAME)
SHARED_LINKS := $(BUILD)/$(SONAME) $(BUILD)/libtaskmgr.so
SQLITE_STATIC := $(BUILD)/libtaskmgr-sqlite.a
SQLITE_SHARED := $(BUILD)/$(SQLITE_REALNAME)
SQLITE_LINKS := $(BUILD)/$(SQLITE_SONAME) $(BUILD)/libtaskmgr-sqlite.so
TASKCTL := $(BUILD)/taskctl
TASKCTL_LIB := $(BUILD)/libtaskctl.a
LOGSHIP_LIB := $(BUILD)/liblogship.a
EXAMPLES := $(EXAMPLE_NAMES:%=$(BUILD)/examples/%)
EXAMPLES_LIB := $(BUILD)/libexamples.a
SUPPORT_LIB := $(BUILD)/libsupport.a
TESTS := $(TEST_SOURCES:%.c=$(BUILD)/%)
FUZZERS := $(FUZZ_SOURCES:%.c=$(BUILD)/%)
BENCHES := $(BENCH_SOURCES:%.c=$(BUILD)/%)

# ---- Flags -----------------------------------------------------------------------------------

# A task's function has the parameters all of them have, whether it uses them or not.
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-function-type -Wvla -Wundef -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough \
	-Wno-unused-parameter
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

HARDENING := -fstack-protector-strong -fstack-clash-protection
LINK_HARDENING := -Wl,-z,relro,-z,now,-z,noexecstack
ifneq ($(filter x86_64% i%86%,$(shell $(CC) -dumpmachine 2>/dev/null)),)
HARDENING += -fcf-protection
endif

# Fortified functions hide from the sanitizers what they are to see, and need an optimizing build.
# A sanitizer's own functions come with the program, so its libraries are linked with gaps.
ifdef SANITIZE
SANITIZING := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
else
LINK_HARDENING += -Wl,-z,defs
ifneq ($(filter -O1 -O2 -O3 -Os,$(CFLAGS)),)
ifeq ($(findstring _FORTIFY_SOURCE,$(CFLAGS) $(CPPFLAGS)),)
HARDENING += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
endif
endif

ifdef COVERAGE
INSTRUMENTING := --coverage -fprofile-update=atomic
endif
ifdef FUZZ
INSTRUMENTING := -fsanitize=fuzzer-no-link
endif

LANGUAGE := -std=c11 -D_GNU_SOURCE -Iinclude -iquote . -iquote $(BUILD)/gen
COMPILE = $(CC) $(LANGUAGE) -fPIC -fvisibility=hidden -pthread $(WARNINGS) $(HARDENING) \
	$(CPPFLAGS) $(CFLAGS) $(SANITIZING) $(INSTRUMENTING)
LINK = $(CC) -pthread $(CFLAGS) $(SANITIZING) $(INSTRUMENTING) $(LINK_HARDENING) -Wl,--as-needed \
	$(LDFLAGS)

# Asked when a command is run, not when this file is read: by then demo and test have installed
# what was missing, pkg-config too.
package = $(or $(shell pkg-config --libs $(1) 2>/dev/null),$(2))
EV_LIBS = $(if $(wildcard tasks/loop/*.c),-lev)
SQLITE_LIBS = $(call package,sqlite3,-lsqlite3)
TEST_LIBS = $(call package,cmocka,-lcmocka) $(call package,jansson,-ljansson) -lm

# Faults are injected where the program is linked: tests/support/fault.c stands in for these
# functions, and tests/support/wraps names more, one a line. Each is asked for by name (-u), for
# the compiler's own libraries, which come after, call them too.
ifneq ($(wildcard tests/support/fault.c),)
WRAPPED := malloc calloc realloc pthread_create \
	$(shell sed 's/\#.*//' tests/support/wraps 2>/dev/null)
WRAPS := $(foreach f,$(WRAPPED),-Wl,--wrap=$(f),-u,__wrap_$(f))
endif

if_header = $(shell printf '\43if !__has_include(<%s>)\n\43error\n\43endif\n' $(1) | \
	$(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 && echo $(2))
# Where packages are installed first it will be there, though it is not yet.
HAVE_SQLITE := $(if $(filter demo test check,$(MAKECMDGOALS)),1,$(call if_header,sqlite3.h,1))

# ---- How a command is shown ------------------------------------------------------------------

ifeq ($(V),1)
run =
else
run = @printf '  %-7s %s\n' $(1) $(2);
endif

.DELETE_ON_ERROR:
.SECONDEXPANSION:
.SUFFIXES:
.PHONY: all demo test tests check examples minimq minimq-bench bench asan tsan valgrind coverage \
	lint format doc install uninstall dist clean FORCE

all: $(STATIC_LIB) $(SHARED_LIB) $(SHARED_LINKS) $(TASKCTL)

# Where its header is, the store on SQLite too; tests need it everywhere.
ifeq ($(HAVE_SQLITE),1)
all: $(SQLITE_STATIC) $(SQLITE_SHARED) $(SQLITE_LINKS)
endif

# ---- Packages --------------------------------------------------------------------------------
# Only demo and test look for missing Debian packages, and do so before anything is compiled.

PACKAGES := $(sort $(patsubst check,test,$(filter demo test check,$(MAKECMDGOALS))))
PACKAGES := $(PACKAGES:%=packages-%)

.PHONY: packages-demo packages-test
packages-demo packages-test: packages-%:
	@CC='$(CC)' NO_INSTALL='$(NO_INSTALL)' internal/tools/packages $*

# ---- Compiling -------------------------------------------------------------------------------
# The stamps change only when their text does: with other flags everything is compiled again, and
# with a source added or removed the libraries are put together again.

$(BUILD)/flags: export STAMP = $(COMPILE) / $(LINK) / $(WRAPS) / $(HAVE_SQLITE)
$(BUILD)/sources: export STAMP = $(LIB_SOURCES) / $(SQLITE_SOURCES) / $(TASKCTL_SOURCES) / \
	$(PKG_SOURCES) / $(CMD_SOURCES) / $(SUPPORT_SOURCES) / $(GENERATED)
$(BUILD)/flags $(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$STAMP" | cmp -s - $@ || printf '%s\n' "$$STAMP" >$@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(PACKAGES)
	@mkdir -p $(@D)
	$(call run,CC,$<)$(COMPILE) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call objects,$(C_SOURCES) $(GENERATED)))

# What includes them is known once it was compiled: until then they come first.
$(call objects,$(filter internal/% tests/%,$(C_SOURCES))): | $(GENERATED_HEADERS)
$(BUILD)/gen/%.h $(BUILD)/gen/%.c: %.states $(TASKCTL)
	@mkdir -p $(@D)
	$(call run,GEN,$<)$(TEST_WRAPPER) $(TASKCTL) machine generate -o $(BUILD)/gen/$* $<

# ---- Libraries -------------------------------------------------------------------------------

$(STATIC_LIB): $(call objects,$(LIB_SOURCES))
$(SQLITE_STATIC): $(call objects,$(SQLITE_SOURCES))
$(TASKCTL_LIB): $(call objects,$(filter-out %/taskctl.c,$(TASKCTL_SOURCES)))
$(LOGSHIP_LIB): $(call objects,$(filter internal/examples/cmd/logship/%,$(filter-out %/main.c,$(CMD_SOURCES))))
$(EXAMPLES_LIB): $(call objects,$(PKG_SOURCES) $(filter $(BUILD)/gen/internal/%,$(GENERATED)))
$(SUPPORT_LIB): $(call objects,$(SUPPORT_SOURCES) $(filter $(BUILD)/gen/tests/%,$(GENERATED)))
$(STATIC_LIB) $(SQLITE_STATIC) $(TASKCTL_LIB) $(LOGSHIP_LIB) $(EXAMPLES_LIB) $(SUPPORT_LIB): $(BUILD)/sources
	@rm -f $@
	$(call run,AR,$@)$(AR) rcs $@ $(filter %.o,$^)

$(SHARED_LIB): $(call objects,$(LIB_SOURCES)) taskmgr/taskmgr.map $(BUILD)/sources
	$(call run,LD,$@)$(LINK) -shared -Wl,-soname,$(SONAME) \
		-Wl,--version-script=taskmgr/taskmgr.map -o $@ $(filter %.o,$^) $(EV_LIBS)

$(SHARED_LINKS): $(SHARED_LIB)
	@ln -sf $(REALNAME) $@

# It has a copy of what it uses of taskmgr/base, which the library keeps to itself.
$(SQLITE_SHARED): $(call objects,$(SQLITE_SOURCES) taskmgr/base/check.c taskmgr/base/text.c) $(SQLITE_MAP) \
		$(SHARED_LIB) $(SHARED_LINKS) $(BUILD)/sources
	$(call run,LD,$@)$(LINK) -shared -Wl,-soname,$(SQLITE_SONAME) \
		-Wl,--version-script=$(SQLITE_MAP) -o $@ $(filter %.o,$^) $(SHARED_LIB) $(SQLITE_LIBS)

$(SQLITE_LINKS): $(SQLITE_SHARED)
	@ln -sf $(SQLITE_REALNAME) $@

# ---- taskctl ---------------------------------------------------------------------------------
# Linked with the static library, so that it is one file. All but its main function stands in an
# archive, where tests and fuzz programs find it.

$(TASKCTL): $(BUILD)/obj/tasks/inspector/taskctl.o $(TASKCTL_LIB) $(if $(HAVE_SQLITE),$(SQLITE_STATIC)) \
		$(STATIC_LIB)
	$(call run,LD,$@)$(LINK) -o $@ $^ $(if $(HAVE_SQLITE),$(SQLITE_LIBS)) $(EV_LIBS)

# ---- Examples --------------------------------------------------------------------------------

examples: $(EXAMPLES)

$(addprefix $(BUILD)/examples/,approve counter logship): EXAMPLE_LIBS = $(SQLITE_LIBS)
$(BUILD)/examples/orders: EXAMPLE_LIBS = $(SQLITE_LIBS) $(call package,libmicrohttpd,-lmicrohttpd) \
	$(call package,jansson,-ljansson)
$(EXAMPLES): $(BUILD)/examples/%: $$(call objects,$$(wildcard internal/examples/cmd/$$*/*.c)) \
		$(EXAMPLES_LIB) $(SQLITE_STATIC) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call run,LD,$@)$(LINK) -o $@ $^ $(EXAMPLE_LIBS) $(EV_LIBS)

minimq: $(BUILD)/examples/minimq

# Beside redis-server, where that is installed.
minimq-bench: minimq
	@BUILD='$(BUILD)' internal/tools/minimq-bench

demo: packages-demo $(BUILD)/examples/logship
	@exec $(BUILD)/examples/logship --database $(BUILD)/logship.db

# ---- Tests -----------------------------------------------------------------------------------

# The tasks of logship stand in an archive too, for tests that hold one of them.
$(TESTS): $(BUILD)/%: $(BUILD)/obj/%.o $(SUPPORT_LIB) $(LOGSHIP_LIB) $(EXAMPLES_LIB) $(TASKCTL_LIB) \
		$(SQLITE_STATIC) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call run,LD,$@)$(LINK) $(WRAPS) -o $@ $^ $(TEST_LIBS) $(SQLITE_LIBS) $(EV_LIBS)

# These start the daemon.
$(BUILD)/tests/stress/logship_kill: | $(BUILD)/examples/logship
$(BUILD)/tests/stress/minimq_clients: | $(BUILD)/examples/minimq

# Every program, without running one: for a compiler that is only asked for its warnings.
tests: $(TESTS) $(FUZZERS) $(BENCHES)

# T picks by the name of the source, with or without "test_" before it.
ifdef T
PICKED := $(foreach t,$(T),$(foreach d,tests/test_ tests/ tests/scenario/ tests/stress/ tests/fuzz/,\
	$(d)$(t).c $(d)$(t).sh))
PICKED := $(filter $(PICKED),$(TEST_SOURCES) $(FUZZ_SOURCES) $(TEST_SCRIPTS))
else
PICKED := $(TEST_SOURCES) $(FUZZ_SOURCES) $(TEST_SCRIPTS)
endif
PICKED_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(filter %.c,$(PICKED)))
PICKED_SCRIPTS := $(filter %.sh,$(PICKED))

run_tests = BUILD='$(abspath $(BUILD))' CC='$(CC)' TOP='$(CURDIR)' V='$(V)' JOBS='$(JOBS)' \
	SANITIZE='$(SANITIZE)' internal/tools/run-tests

test check: $(PICKED_PROGRAMS) $(if $(PICKED_SCRIPTS),all $(EXAMPLES)) | $(PACKAGES)
	@$(run_tests) $(abspath $(PICKED_PROGRAMS) $(PICKED_SCRIPTS))

# The same file with another BUILD, so that builds do not disturb each other.
asan:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)-asan SANITIZE=address,undefined TEST_TIMEOUT_SCALE=3 test

tsan:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)-tsan SANITIZE=thread TEST_TIMEOUT_SCALE=5 test

ifdef SANITIZE
export ASAN_OPTIONS ?= detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS ?= halt_on_error=1:print_stacktrace=1
# Programs that leave threads behind would sleep for a second at their end, each child of a test too.
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=50
# Kernels that scatter addresses widely put things where this thread sanitizer has its shadow.
ifeq ($(SANITIZE),thread)
export TEST_WRAPPER ?= $(shell setarch -R true 2>/dev/null && echo setarch -R)
endif
endif

# Threads take fair turns, or one that waits for another by looking at it waits for long. Stress
# programs are left out: they prove things about real parallelism, and valgrind has one processor.
# A program listed here has its reason beside it.
# test_switch: valgrind rounds in one way only, and takes stacks that nobody told it of for a mistake;
# those of coroutines are told, and all other tests of loops run on them.
# test_orders_cancel, test_process_select, test_conformance_select: thousands of whole lives of orders, and
# each interleaving of programs, on one thread, whose memory the address sanitizer looks at.
VALGRIND_EXCLUDED := tests/test_switch.c tests/test_orders_cancel.c tests/test_process_select.c \
	tests/test_conformance_select.c
VALGRIND = valgrind --quiet --error-exitcode=99 --leak-check=full --fair-sched=yes --max-threads=2000 \
	--suppressions=tests/support/valgrind.supp \
	--errors-for-leak-kinds=definite,indirect,possible --show-leak-kinds=definite,indirect,possible
VALGRIND_TESTS := $(filter-out tests/stress/% $(VALGRIND_EXCLUDED),$(filter %.c,$(PICKED)))
VALGRIND_TESTS := $(VALGRIND_TESTS:%.c=$(BUILD)/%)

valgrind: $(VALGRIND_TESTS)
	@TEST_WRAPPER='$(VALGRIND)' TEST_TIMEOUT_SCALE=10 $(run_tests) $(abspath $(VALGRIND_TESTS))

# Threads are held up at random, and eight programs run beside each other: what they prove does not
# depend on how fast the machine is. HELD_UP_SEEDS names the runs, one after the other. Left out are
# those that only compute, and those each of whose thousands of children would be held up.
HELD_UP := $(BUILD)/held_up.so
HELD_UP_SEEDS ?= 1 2 3
HELD_UP_EXCLUDED := $(VALGRIND_EXCLUDED) tests/test_coroutine_stack.c \
	$(addprefix tests/test_store_,power.c replace.c faults.c)
HELD_UP_TESTS := $(filter-out tests/stress/% tests/fuzz/% $(HELD_UP_EXCLUDED),$(filter %.c,$(PICKED)))
HELD_UP_TESTS := $(HELD_UP_TESTS:%.c=$(BUILD)/%)

$(HELD_UP): $(HELD_UP_SOURCES) $(BUILD)/flags
	$(call run,LD,$@)$(COMPILE) -fvisibility=default -shared -o $@ $(HELD_UP_SOURCES)

.PHONY: held-up
held-up: JOBS = 8
held-up: $(HELD_UP) $(HELD_UP_TESTS)
	@set -e; for seed in $(HELD_UP_SEEDS); do TEST_TIMEOUT_SCALE=5 \
		TEST_WRAPPER="env LD_PRELOAD=$(abspath $(HELD_UP)) HELD_UP_SEED=$$seed" \
		$(run_tests) $(abspath $(HELD_UP_TESTS)); done

coverage:
	+@find $(BUILD)-coverage -name '*.gcda' -delete 2>/dev/null || true
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)-coverage COVERAGE=1 CFLAGS='-O0 -g' test
	@mkdir -p $(BUILD)
	@internal/tools/coverage $(BUILD)-coverage $(LIB_SOURCES) $(TASKCTL_SOURCES) >$(BUILD)/coverage.txt
	@cat $(BUILD)/coverage.txt

# Kills, power cuts and failing allocations for long: minutes, or an hour. Each write and sync of a short
# run, then moments at random. SEED repeats one.
CRASH_PROGRAMS := $(BUILD)/tests/stress/process_tokens $(BUILD)/tests/stress/process_kill \
	$(BUILD)/tests/test_store_power $(BUILD)/tests/test_store_replace \
	$(BUILD)/tests/test_store_faults
CRASH_SECONDS = 120

.PHONY: crash crash-long
crash: $(CRASH_PROGRAMS)
	@set -e; for program in $(CRASH_PROGRAMS); do \
		SECONDS=$(CRASH_SECONDS) KILL_EACH=1 POWER_EACH=1 FAULT_EACH=5 $$program; done

crash-long: CRASH_SECONDS = 1500
crash-long: crash

# ---- Benchmarks, fuzzing ---------------------------------------------------------------------
# Linked without faults, one after another: a figure is only worth something on a quiet machine. One
# table; a figure that could not be taken fails it, one that missed its goal says so.
# What some are compared with is linked where its header is: the sources ask for the same one.

BENCH_LIBS = $(EV_LIBS) -lm $(if $(HAVE_SQLITE),$(SQLITE_LIBS)) $(call if_header,uv.h,-luv) \
	$(call if_header,boost/context/detail/fcontext.hpp,-lboost_context)

$(BENCHES): $(BUILD)/%: $(BUILD)/obj/%.o $$(call objects,$$(wildcard $$*/*.c)) \
		$(call objects,$(BENCH_HELPERS)) $(SUPPORT_LIB) $(if $(HAVE_SQLITE),$(SQLITE_STATIC)) \
		$(STATIC_LIB)
	@mkdir -p $(@D)
	$(call run,LD,$@)$(LINK) -o $@ $^ $(BENCH_LIBS)

bench: $(BENCHES)
	@head=1; failed=0; for program in $(BENCHES); do \
		BENCH_HEAD=$$head $$program || { echo "$$program failed"; failed=1; }; head=0; \
	done; exit $$failed

# A fuzz program replays its corpus in every other build, so what was found once stays tested.
# `make fuzz` lets clang's fuzzer search on from there, FUZZ_SECONDS for each program.
ifneq ($(FUZZ_SOURCES),)
FUZZ_SECONDS ?= 60

$(FUZZERS): $(BUILD)/%: $(BUILD)/obj/%.o $(SUPPORT_LIB) $(EXAMPLES_LIB) $(TASKCTL_LIB) \
		$(SQLITE_STATIC) $(STATIC_LIB)
	@mkdir -p $(@D)
	$(call run,LD,$@)$(LINK) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $^ $(SQLITE_LIBS) $(EV_LIBS)

.PHONY: fuzz fuzz-run
fuzz:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)-fuzz CC=clang SANITIZE=address,undefined FUZZ=1 \
		fuzz-run

fuzz-run: $(FUZZERS)
	@set -e; for program in $(FUZZERS); do name=$${program##*/}; \
		printf '  %-7s %s\n' FUZZ $$name; mkdir -p $(BUILD)/corpus/$$name; \
		$$program -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(BUILD)/$$name- -verbosity=0 \
			-max_len=1024 -print_final_stats=1 $(BUILD)/corpus/$$name \
			$$(ls -d tests/fuzz/corpus/$$name 2>/dev/null); done
endif

# ---- Lint ------------------------------------------------------------------------------------
# `make -k lint` goes on after the first check that fails.

LINTS := lint-layers lint-symbols lint-headers lint-comments lint-doxygen lint-format \
	lint-spelling lint-shell lint-tidy
TEXTS := $(wildcard README.md NEWS Makefile .ci docs include taskmgr tasks internal tests)
SHELL_SCRIPTS := $(wildcard .ci/run internal/tools/* internal/examples/cmd/*/play tests/*.sh tests/support/*.sh)

.PHONY: $(LINTS) lint-packages
lint: $(LINTS)
$(LINTS): lint-packages

lint-packages:
	@CC='$(CC)' NO_INSTALL=1 internal/tools/packages lint

lint-layers:
	$(call run,LINT,layers)internal/tools/check-layers

lint-symbols:
	$(call run,LINT,symbols)internal/tools/check-symbols taskmgr/taskmgr.map \
		$(filter-out $(SQLITE_HEADERS),$(PUBLIC_HEADERS))
	@internal/tools/check-symbols $(SQLITE_MAP) $(SQLITE_HEADERS)

lint-headers:
	$(call run,LINT,headers)CC='$(CC)' internal/tools/check-headers $(PUBLIC_HEADERS)

lint-comments:
	$(call run,LINT,comments)internal/tools/check-comments $(PUBLIC_HEADERS)

doxygen = { cat docs/Doxyfile; printf '%s\n' $(1); } | BUILD='$(BUILD)' VERSION='$(VERSION)' doxygen -

lint-doxygen:
	@mkdir -p $(BUILD)/doc
	$(call run,LINT,doxygen)$(call doxygen,GENERATE_HTML=NO GENERATE_XML=YES)

lint-format:
	$(call run,LINT,format)! clang-format --dry-run -Werror $(C_SOURCES) $(C_HEADERS) 2>&1 | \
		grep error:

lint-spelling:
	$(call run,LINT,spelling)codespell --ignore-words docs/words $(TEXTS)

lint-shell:
	$(call run,LINT,shell)shellcheck $(filter-out %.md %.awk %.py,$(SHELL_SCRIPTS))

lint-tidy: $(GENERATED_HEADERS)
	$(call run,LINT,tidy)printf '%s\n' $(C_SOURCES) | xargs -r -n 4 -P $(JOBS) sh -c \
		'clang-tidy --quiet "$$@" -- $(LANGUAGE) 2>/dev/null' sh

format:
	clang-format -i $(C_SOURCES) $(C_HEADERS)

doc:
	@mkdir -p $(BUILD)/doc
	$(call run,DOC,$(BUILD)/doc/html)$(call doxygen)

# ---- Installing ------------------------------------------------------------------------------

INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/taskmgr
SHAREDIR ?= $(PREFIX)/share/taskmgr
INSTALL ?= install
LDCONFIG ?= $(firstword $(wildcard /sbin/ldconfig /usr/sbin/ldconfig) ldconfig)

MAN_PAGES := $(wildcard docs/man/*.1 docs/man/*.3 docs/man/*.7)
DOC_FILES := $(wildcard LICENSE NEWS README.md)
GUIDES := $(wildcard docs/*.md)

# Each file that is installed, as its path below DESTDIR; install and uninstall share these.
HEADERS_TO_INSTALL := $(filter-out $(if $(HAVE_SQLITE),,$(SQLITE_HEADERS)),$(PUBLIC_HEADERS))
INSTALLED_LIBS := $(addprefix $(LIBDIR)/,libtaskmgr.a $(REALNAME) $(SONAME) libtaskmgr.so)
INSTALLED_COMMAND := $(BINDIR)/taskctl
INSTALLED_SQLITE := $(if $(HAVE_SQLITE),$(addprefix $(LIBDIR)/,libtaskmgr-sqlite.a $(SQLITE_REALNAME) \
	$(SQLITE_SONAME) libtaskmgr-sqlite.so pkgconfig/libtaskmgr-sqlite.pc))
INSTALLED_HEADERS := $(HEADERS_TO_INSTALL:include/%=$(INCLUDEDIR)/%)
INSTALLED_PAGES := $(foreach p,$(MAN_PAGES),$(MANDIR)/man$(patsubst .%,%,$(suffix $(p)))/$(notdir $(p)))
# The guides point to man/ beside them: a link to where the pages are.
INSTALLED_DOCS := $(addprefix $(DOCDIR)/,$(DOC_FILES) $(GUIDES) docs/man)
INSTALLED_GDB := $(SHAREDIR)/taskmgr-gdb.py
INSTALLED_PC := $(LIBDIR)/pkgconfig/libtaskmgr.pc
# A page describes several functions, and is found by the name of each; one has that name itself.
PAGE_NAMES = $(shell awk '/^\.Sh/ { on = $$2 == "NAME" } \
	on && $$1 == ".Nm" && FILENAME !~ "/" $$2 "[.]3$$" { print FILENAME ":" $$2 }' \
	$(filter %.3,$(MAN_PAGES)))
INSTALLED_NAMES = $(foreach n,$(PAGE_NAMES),$(MANDIR)/man3/$(lastword $(subst :, ,$(n))).3)
INSTALLED = $(INSTALLED_LIBS) $(INSTALLED_COMMAND) $(INSTALLED_HEADERS) $(INSTALLED_PAGES) \
	$(INSTALLED_NAMES) $(INSTALLED_DOCS) $(INSTALLED_GDB) $(INSTALLED_PC) $(INSTALLED_SQLITE)

# Paths below the prefix are written with it, so that pkg-config can move them all at once.
define PC_TEXT
prefix=$(PREFIX)
libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)
includedir=$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)

Name: taskmgr
Description: Structures daemons as tasks
Version: $(VERSION)
Libs: -L$${libdir} -ltaskmgr
Libs.private: -lev -pthread
Cflags: -I$${includedir}
endef

define SQLITE_PC_TEXT
prefix=$(PREFIX)
libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)

Name: taskmgr-sqlite
Description: Keeps durable processes of taskmgr in a file
Version: $(VERSION)
Requires: libtaskmgr
Requires.private: sqlite3
Libs: -L$${libdir} -ltaskmgr-sqlite
endef

# Programs find a new library only once the linker's cache has it. Whoever packs with DESTDIR does
# that when the package is installed.
refresh_linker = if ! $(LDCONFIG) -N -X -v 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p' | \
		xargs readlink -f | grep -qx "$$(readlink -f $(LIBDIR))"; then \
		echo "  the linker does not look in $(LIBDIR): LD_LIBRARY_PATH=$(LIBDIR) makes it"; \
	elif ! $(LDCONFIG); then echo "  run ldconfig as root: programs do not find the library yet"; fi

install: export PC = $(PC_TEXT)
install: export SQLITE_PC = $(SQLITE_PC_TEXT)
install: all
	$(call run,INSTALL,$(DESTDIR)$(PREFIX))$(INSTALL) -d \
		$(sort $(dir $(addprefix $(DESTDIR),$(INSTALLED))))
	@$(INSTALL) -m 644 $(STATIC_LIB) $(DESTDIR)$(LIBDIR)/
	@$(INSTALL) -m 755 $(SHARED_LIB) $(DESTDIR)$(LIBDIR)/
	@$(INSTALL) -m 755 $(TASKCTL) $(DESTDIR)$(INSTALLED_COMMAND)
	@ln -sf $(REALNAME) $(DESTDIR)$(LIBDIR)/$(SONAME)
	@ln -sf $(REALNAME) $(DESTDIR)$(LIBDIR)/libtaskmgr.so
	@set -e; for header in $(HEADERS_TO_INSTALL:include/%=%); do \
		$(INSTALL) -m 644 include/$$header $(DESTDIR)$(INCLUDEDIR)/$$header; done
	@set -e; for page in $(MAN_PAGES); do \
		$(INSTALL) -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/; done
	@set -e; for name in $(PAGE_NAMES); do page=$${name%:*}; \
		ln -sf $${page##*/} $(DESTDIR)$(MANDIR)/man3/$${name#*:}.3; done
	@$(INSTALL) -m 644 $(DOC_FILES) $(DESTDIR)$(DOCDIR)/
	@$(INSTALL) -m 644 $(GUIDES) $(DESTDIR)$(DOCDIR)/docs/
	@ln -srfn $(DESTDIR)$(MANDIR) $(DESTDIR)$(DOCDIR)/docs/man
	@$(INSTALL) -m 644 internal/tools/taskmgr-gdb.py $(DESTDIR)$(SHAREDIR)/
	@printf '%s\n' "$$PC" >$(DESTDIR)$(INSTALLED_PC)
	@chmod 644 $(DESTDIR)$(INSTALLED_PC)
ifeq ($(HAVE_SQLITE),1)
	@$(INSTALL) -m 644 $(SQLITE_STATIC) $(DESTDIR)$(LIBDIR)/
	@$(INSTALL) -m 755 $(SQLITE_SHARED) $(DESTDIR)$(LIBDIR)/
	@ln -sf $(SQLITE_REALNAME) $(DESTDIR)$(LIBDIR)/$(SQLITE_SONAME)
	@ln -sf $(SQLITE_REALNAME) $(DESTDIR)$(LIBDIR)/libtaskmgr-sqlite.so
	@printf '%s\n' "$$SQLITE_PC" >$(DESTDIR)$(LIBDIR)/pkgconfig/libtaskmgr-sqlite.pc
	@chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libtaskmgr-sqlite.pc
endif
	$(if $(DESTDIR),,@$(refresh_linker))

uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@for dir in $(INCLUDEDIR)/taskmgr/tasks $(INCLUDEDIR)/taskmgr $(DOCDIR)/docs $(DOCDIR) \
		$(SHAREDIR); do \
		if [ -d $(DESTDIR)$$dir ]; then \
			rmdir --ignore-fail-on-non-empty $(DESTDIR)$$dir; fi; done

# What git has at HEAD, bit for bit the same whenever and wherever it is packed.
DIST := dist/taskmgr-$(VERSION)

dist:
	@mkdir -p dist
	$(call run,DIST,$(DIST).tar.gz)git -c tar.umask=0022 archive --format=tar \
		--prefix=taskmgr-$(VERSION)/ -o $(DIST).tar HEAD
	@gzip -9 -n -f $(DIST).tar

# ---- Cleaning --------------------------------------------------------------------------------

clean:
	rm -rf $(BUILD) $(addprefix $(BUILD)-,asan tsan coverage fuzz clang ucontext ci) dist
