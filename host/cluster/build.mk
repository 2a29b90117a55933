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
