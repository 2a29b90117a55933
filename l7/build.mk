# The Layer-7 proxy.
L7_SOURCES := $(filter-out l7/main.c,$(wildcard l7/*.c l7/*/*.c))
L7_OBJS := $(patsubst %.c,$(B)/%.o,$(L7_SOURCES))
L7_LIBS := -levent_core -ljansson -lyaml -lssl -lcrypto
$(L7_OBJS) $(B)/l7/main.o: CFLAGS += -D_GNU_SOURCE

$(B)/l7/libslu_l7.a: $(L7_OBJS)
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^

$(B)/tests/unit/test_l7_channel.o: CFLAGS += -D_GNU_SOURCE
$(B)/tests/unit/test_l7_channel: $(B)/tests/unit/test_l7_channel.o $(B)/l7/libslu_l7.a
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(L7_LIBS)
UNIT_TESTS += $(B)/tests/unit/test_l7_channel

# TLS with keys at key servers: those that misbehave stand in the test itself.
TEST_L7_TLS_OBJS := $(patsubst %,$(B)/tests/unit/%.o,test_l7_tls key_server_fake tls_material)
$(TEST_L7_TLS_OBJS): CFLAGS += -D_GNU_SOURCE -DSLUICE_KEYD='"$(B)/bin/sluice-keyd"'
$(B)/tests/unit/test_l7_tls: $(TEST_L7_TLS_OBJS) $(B)/l7/libslu_l7.a $(B)/lib/libslu.a | $(B)/bin/sluice-keyd
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka $(L7_LIBS)
UNIT_TESTS += $(B)/tests/unit/test_l7_tls

$(B)/tests/unit/test_l7_tls_parts: $(B)/tests/unit/test_l7_tls_parts.o $(B)/l7/libslu_l7.a
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_l7_tls_parts

$(B)/bin/sluice-l7: $(B)/l7/main.o $(B)/l7/libslu_l7.a
	@mkdir -p $(@D)
	$(CC) -o $@ $^ $(LDFLAGS) $(L7_LIBS)
PROGRAMS += $(B)/bin/sluice-l7

$(B)/tests/fuzz/fuzz_l7_http1: tests/fuzz/fuzz_l7_http1.c $(addprefix l7/,http1/head.c http1/chunked.c http1/body.c http/message.c io/buffer.c)
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -D_GNU_SOURCE -o $@ $^
FUZZERS += $(B)/tests/fuzz/fuzz_l7_http1

tests/e2e/test_l7_smuggling.py: $(B)/bin/sluice-l7
