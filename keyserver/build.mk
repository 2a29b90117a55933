# The key server, and the protocol that it shares with Layer 7.
$(B)/tests/unit/test_key_message: $(B)/tests/unit/test_key_message.o $(B)/lib/libslu.a
	$(CC) -o $@ $^ $(LDFLAGS) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_key_message

$(B)/tests/fuzz/fuzz_key_message: tests/fuzz/fuzz_key_message.c lib/key_message.c
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_CFLAGS) -o $@ $^
FUZZERS += $(B)/tests/fuzz/fuzz_key_message
