# The agent.
AGENT_SOURCES := $(wildcard host/*.c host/cluster/*.c host/metering/*.c host/ports/*.c host/offload/*.c host/sync/*.c)
AGENT_OBJS := $(patsubst %.c,$(B)/%.o,$(AGENT_SOURCES))
AGENT_LIBS = $(DPDK_LIBS) $(CONTROL_LIBS) -lcrypto -lmnl -ldl -lpthread

$(AGENT_OBJS): CFLAGS += $(DPDK_CFLAGS) -DALLOW_EXPERIMENTAL_API

$(B)/bin/sluiced: $(AGENT_OBJS) $(B)/host/libslu_control.a $(B)/host/dataplane/libslu_dataplane.a $(B)/lib/libslu.a
	@mkdir -p $(@D)
	$(CC) -o $@ $(AGENT_OBJS) $(B)/host/libslu_control.a $(B)/host/dataplane/libslu_dataplane.a $(B)/lib/libslu.a $(LDFLAGS) $(AGENT_LIBS)

PROGRAMS += $(B)/bin/sluiced

# The text is a file, so that another one compiles this file again and nothing else.
$(B)/version: FORCE
	@mkdir -p $(@D)
	@[ "$$(cat $@ 2>/dev/null)" = '$(VERSION)' ] || echo '$(VERSION)' >$@
$(B)/host/version.o: $(B)/version
$(B)/host/version.o: CFLAGS += -DSLU_VERSION='"$(VERSION)"'

# The next build, for tests and demonstration of an upgrade: the same objects with another version.
NEXT := $(B)/tests/lab/sluiced-next
$(B)/tests/lab/version.o: host/version.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -DSLU_VERSION='"the next one"' -c $< -o $@
$(NEXT): $(AGENT_OBJS) $(B)/tests/lab/version.o $(B)/host/libslu_control.a $(B)/host/dataplane/libslu_dataplane.a $(B)/lib/libslu.a
	@mkdir -p $(@D)
	$(CC) -o $@ $(filter-out $(B)/host/version.o,$(filter %.o,$^)) $(filter %.a,$^) $(LDFLAGS) $(AGENT_LIBS)
PROGRAMS += $(NEXT)

$(B)/tests/unit/test_mirror: $(B)/tests/unit/test_mirror.o $(B)/host/ports/mirror.o $(B)/host/control/ip.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka -lmnl
UNIT_TESTS += $(B)/tests/unit/test_mirror

$(B)/tests/unit/test_flow_map: $(B)/tests/unit/test_flow_map.o $(B)/host/offload/flow_map.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_flow_map

# The test itself is the rte_flow library: only EAL is linked.
$(B)/tests/unit/test_flow_port.o: CFLAGS += $(DPDK_CFLAGS) -DALLOW_EXPERIMENTAL_API
$(B)/tests/unit/test_flow_port: $(B)/tests/unit/test_flow_port.o $(B)/host/offload/flow_port.o $(B)/host/offload/flow_rule.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka -lrte_eal
UNIT_TESTS += $(B)/tests/unit/test_flow_port

TEST_METERING_OBJS := $(patsubst %,$(B)/host/%.o,metering/metering metering/metering_file offload/flow_map config/memory log)
$(B)/tests/unit/test_metering.o: CFLAGS += $(DPDK_CFLAGS)
$(B)/tests/unit/test_metering: $(B)/tests/unit/test_metering.o $(TEST_METERING_OBJS) $(B)/tests/unit/dataplane_fixture.o $(DATAPLANE_LIBS)
	$(CC) -o $@ $^ $(LDFLAGS) $(DPDK_LIBS) -lcmocka -levent_core
UNIT_TESTS += $(B)/tests/unit/test_metering

TEST_TAP_OBJS := $(patsubst %,$(B)/host/%.o,ports/tap ports/addresses ports/netlink ports/neighbours ports/mirror ports/isolate control/ip)
$(B)/tests/unit/test_tap.o: CFLAGS += $(DPDK_CFLAGS)
$(B)/tests/unit/test_tap: $(B)/tests/unit/test_tap.o $(TEST_TAP_OBJS)
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka -lmnl
UNIT_TESTS += $(B)/tests/unit/test_tap

TEST_ROUTES_OBJS := $(patsubst %,$(B)/host/%.o,cluster/routes ports/netlink control/ip log)
$(B)/tests/unit/test_routes: $(B)/tests/unit/test_routes.o $(TEST_ROUTES_OBJS)
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka -lmnl -lrte_eal
UNIT_TESTS += $(B)/tests/unit/test_routes
