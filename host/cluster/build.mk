# What a node knows of its cluster, beside the sessions themselves (host/sync).
$(B)/tests/unit/test_members: $(B)/tests/unit/test_members.o $(B)/host/cluster/members.o $(B)/host/control/ip.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_members

$(B)/tests/unit/test_node_status: $(B)/tests/unit/test_node_status.o $(B)/host/cluster/node_status.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_node_status

$(B)/tests/unit/test_epoch: $(B)/tests/unit/test_epoch.o $(B)/host/cluster/epoch.o $(B)/host/control/store.o $(B)/host/config/memory.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_epoch

$(B)/tests/unit/test_key_file: $(B)/tests/unit/test_key_file.o $(B)/host/cluster/key_file.o $(B)/host/log.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka -lrte_eal
UNIT_TESTS += $(B)/tests/unit/test_key_file

# The objects of the agent, and the control plane for the configuration.
TEST_SHARED := $(patsubst %,$(B)/tests/unit/test_%,catalog registry etcd)
TEST_SHARED_OBJS := $(patsubst %,$(B)/host/cluster/%.o,catalog registry etcd etcd_value registration shared shared_write) $(B)/host/log.o
$(TEST_SHARED): %: %.o $(TEST_SHARED_OBJS) $(B)/host/libslu_control.a $(B)/lib/libslu.a
	$(CC) -o $@ $< $(TEST_SHARED_OBJS) $(LDFLAGS) $(CONTROL_LIBS) -lcrypto -lcmocka -lrte_eal
UNIT_TESTS += $(TEST_SHARED)

$(B)/tests/unit/test_usage: $(B)/tests/unit/test_usage.o $(B)/host/cluster/usage.o $(B)/host/config/memory.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_usage

# Compiled whole with the sanitizers, as tests/build.mk does for its own.
$(B)/tests/fuzz/fuzz_cluster: tests/fuzz/fuzz_cluster.c $(patsubst %,host/cluster/%.c,catalog etcd_value node_status registry) \
		$(wildcard host/config/*.c) host/control/ip.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^ -lyaml -ljansson -lcrypto
FUZZERS += $(B)/tests/fuzz/fuzz_cluster
