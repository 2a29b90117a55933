# The key server, and the protocol that it shares with Layer 7.
$(B)/tests/unit/test_key_message: $(B)/tests/unit/test_key_message.o $(B)/lib/libslu.a
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_key_message

$(B)/tests/fuzz/fuzz_key_message: tests/fuzz/fuzz_key_message.c lib/key_message.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^
FUZZERS += $(B)/tests/fuzz/fuzz_key_message

KEYD_OBJS := $(patsubst %.c,$(B)/%.o,$(filter-out keyserver/main.c,$(wildcard keyserver/*.c)))
KEYD_LIBS := -levent_core -lssl -lcrypto -lyaml -lseccomp -lpthread
$(KEYD_OBJS) $(B)/keyserver/main.o: CFLAGS += -D_GNU_SOURCE

$(B)/keyserver/libslu_keyserver.a: $(KEYD_OBJS)
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^

$(B)/bin/sluice-keyd: $(B)/keyserver/main.o $(B)/keyserver/libslu_keyserver.a $(B)/lib/libslu.a
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) $(KEYD_LIBS)
PROGRAMS += $(B)/bin/sluice-keyd

E2E_TESTS += tests/e2e/test_keyd.py
