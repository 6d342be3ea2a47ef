# SPDX-License-Identifier: GPL-2.0-or-later
# A door to ninja for those used to make. meson.build has the rules.
BUILD := build
JOBS = $(filter -j%,$(MAKEFLAGS))

all: $(BUILD)/build.ninja
	+@ninja -C $(BUILD) $(JOBS)

$(BUILD)/build.ninja:
	./configure

install: all
	meson install --no-rebuild -C $(BUILD)

check:
	./check

# Debian's programs for other processors: bash to java, in chroots (an hour; needs root and network)
check-user: all
	tools/need run check
	tests/user/real/real.py $(CHECK_USER_ARGS)

bench: all
	tools/need bench
	tests/perf/bench.py $(BENCH_ARGS)
	tests/perf/bench_user.py $(BENCH_USER_ARGS)
	tests/perf/bench_disk.py $(BENCH_DISK_ARGS)
	tests/perf/bench_dev.py $(BENCH_DEV_ARGS)
	tests/perf/bench_net.py $(BENCH_NET_ARGS)

fuzz: all
	tests/fuzz/run $(FUZZ_ARGS)

format:
	clang-format -i $$(git ls-files 'src/*.[ch]' 'tests/*.[ch]')

clean:
	+@[ ! -e $(BUILD)/build.ninja ] || ninja -C $(BUILD) clean

distclean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz

.PHONY: all install check check-user bench fuzz format clean distclean
