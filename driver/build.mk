# The card's poll mode driver: an out-of-tree DPDK plugin.
DPDK_SRC := $(B)/dpdk-src
DRIVER_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard driver/*.c driver/base/*.c))

$(DPDK_SRC)/version: driver/dpdk_headers.sh /usr/include/dpdk/rte_version.h
	driver/dpdk_headers.sh $(@D)

$(DRIVER_OBJS): CFLAGS += -fPIC -fvisibility=hidden -DALLOW_INTERNAL_API -DALLOW_EXPERIMENTAL_API -isystem $(DPDK_SRC)/include $(DPDK_CFLAGS)
$(DRIVER_OBJS): | $(DPDK_SRC)/version

LINT_INCLUDES += -isystem $(DPDK_SRC)/include
LINT_NEEDS += $(DPDK_SRC)/version

# -z nodelete: EAL keeps pointers into the driver after it unloads plugins at exit.
$(B)/lib/librte_net_sluice.so: $(DRIVER_OBJS) $(B)/lib/libslu.a driver/exports.map
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-z,defs -Wl,-z,nodelete -Wl,-soname,$(@F) -Wl,--version-script=driver/exports.map -o $@.new \
		$(DRIVER_OBJS) $(B)/lib/libslu.a $(LDFLAGS) $(DPDK_LIBS) -lrte_bus_vdev -lfdt -lpthread
	@mv $@.new $@

PROGRAMS += $(B)/lib/librte_net_sluice.so

# Everything below DPDK: tests and the table's bench run it without.
DRIVER_BASE := $(B)/driver/libslu_driver_base.a
$(DRIVER_BASE): $(patsubst %.c,$(B)/%.o,$(wildcard driver/base/*.c))
	@rm -f $@
	ar rcs $@ $^

# Unit tests of lib/flow_* and of the driver.
DRIVER_UNIT := $(patsubst %,$(B)/tests/unit/test_%,flow_hash flow_place driver_flow_table driver_rule driver_card \
	driver_vfio_user driver_flow_parse)
$(B)/tests/unit/test_driver_flow_table: $(B)/tests/unit/driver_fake_card.o
# A path that the running test opens: from the root of the tree, where tests run.
$(B)/tests/unit/test_driver_card.o: CFLAGS += -DCARD_TREE='"$(B)/hw/dts/sluice-nic.dtb"'
$(B)/tests/unit/test_driver_card: | $(B)/hw/dts/sluice-nic.dtb
$(B)/tests/unit/test_driver_flow_parse.o: CFLAGS += -DALLOW_EXPERIMENTAL_API $(DPDK_CFLAGS)
$(B)/tests/unit/test_driver_flow_parse: $(B)/driver/flow_parse.o
$(B)/tests/unit/test_driver_flow_parse: DRIVER_UNIT_LIBS = $(DPDK_LIBS)
$(DRIVER_UNIT): $(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(DRIVER_BASE) $(B)/lib/libslu.a
	$(CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDFLAGS) -lcmocka -lfdt -lpthread $(DRIVER_UNIT_LIBS)
UNIT_TESTS += $(DRIVER_UNIT)

# Parts of `make bench-nic`: the table without a card, and rules on the simulated one.
$(B)/tests/bench/nic/table: $(B)/tests/bench/nic/table.o $(B)/tests/unit/driver_fake_card.o $(DRIVER_BASE) $(B)/lib/libslu.a
	$(CC) -o $@ $^ $(LDFLAGS) -lfdt -lpthread
$(B)/tests/bench/nic/offload.o: CFLAGS += -DALLOW_EXPERIMENTAL_API $(DPDK_CFLAGS)
$(B)/tests/bench/nic/offload: $(B)/tests/bench/nic/offload.o
	$(CC) -o $@ $^ $(LDFLAGS) $(DPDK_LIBS)
DRIVER_BENCHES := $(B)/tests/bench/nic/table $(B)/tests/bench/nic/offload $(B)/bin/sluice-nic $(B)/lib/librte_net_sluice.so
$(B)/tests/fuzz/fuzz_card_tree: tests/fuzz/fuzz_card_tree.c driver/base/card.c
$(B)/tests/fuzz/fuzz_vfio_client: tests/fuzz/fuzz_vfio_client.c driver/base/vfio_user.c
DRIVER_FUZZERS := $(B)/tests/fuzz/fuzz_card_tree $(B)/tests/fuzz/fuzz_vfio_client
$(DRIVER_FUZZERS):
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^ -lfdt -lpthread
FUZZERS += $(DRIVER_FUZZERS)

E2E_TESTS += tests/e2e/test_testpmd.sh
