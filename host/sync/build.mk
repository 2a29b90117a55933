# Session sync: datagrams, and the engine with its thread.
$(B)/tests/unit/test_sync_codec: $(B)/tests/unit/test_sync_codec.o $(B)/host/sync/codec.o
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_sync_codec

# Writes and reads datagrams for tests that talk to other implementations.
$(B)/tests/lab/sync_datagram: $(B)/tests/lab/sync_datagram.o $(B)/host/sync/codec.o $(B)/host/control/ip.o
	$(CC) -o $@ $^ $(LDFLAGS)
PROGRAMS += $(B)/tests/lab/sync_datagram
