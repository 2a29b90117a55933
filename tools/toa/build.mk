# sluice-toa: the client's address for servers that know nothing of it. The kernel's part is inside the program.
TOA_BPF_OBJECT := $(B)/tools/toa/toa.bpf.o
$(TOA_BPF_OBJECT): tools/toa/toa.bpf.c tools/toa/toa.h
	@mkdir -p $(@D)
	$(CLANG) -target bpf -O2 -g -Wall -Wextra -Werror -I/usr/include/$(shell $(CC) -dumpmachine) -c $< -o $@

$(B)/tools/toa/toa.o: CFLAGS += -D_GNU_SOURCE -DTOA_BPF_OBJECT='"$(TOA_BPF_OBJECT)"'
$(B)/tools/toa/toa.o: $(TOA_BPF_OBJECT)
$(B)/bin/sluice-toa: $(B)/tools/toa/toa.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -lbpf -o $@
PROGRAMS += $(B)/bin/sluice-toa

E2E_TESTS += tests/e2e/test_toa_server.sh
LINT_INCLUDES += '-DTOA_BPF_OBJECT="$(TOA_BPF_OBJECT)"'
