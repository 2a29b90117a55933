# The data plane: a library for the agent, and its unit tests.
DATAPLANE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/dataplane/*.c))
$(B)/host/dataplane/%.o: CFLAGS += $(DPDK_CFLAGS)
$(B)/host/dataplane/libslu_dataplane.a: $(DATAPLANE_OBJS)
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^

# Tests that need a data plane share a fixture; the others need only their file.
DATAPLANE_LIBS = $(B)/host/dataplane/libslu_dataplane.a $(B)/lib/libslu.a
DATAPLANE_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_dataplane_*.c))
UNIT_TESTS += $(DATAPLANE_TESTS)
$(B)/tests/unit/dataplane_fixture.o $(DATAPLANE_TESTS:=.o): CFLAGS += $(DPDK_CFLAGS)
$(DATAPLANE_TESTS): %: %.o $(B)/tests/unit/dataplane_fixture.o $(DATAPLANE_LIBS)
	$(CC) $(LDFLAGS) $^ -o $@ $(DPDK_LIBS) -lcmocka
