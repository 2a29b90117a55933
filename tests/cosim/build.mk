# Tests against the real RTL, through the Verilated model or through sluice-nic.
$(B)/tests/cosim/test_vfio_user: tests/cosim/test_vfio_user.c $(B)/bin/sluice-nic
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D_GNU_SOURCE $< -lcmocka -o $@
COSIM_TESTS += $(B)/tests/cosim/test_vfio_user

$(B)/tests/cosim/test_rewrite: $(B)/tests/cosim/test_rewrite.o $(B)/tests/cosim/reference.o $(SIM_TEST_OBJS) $(SIM_TEST_LIBS)
	$(CC) $(LDFLAGS) $^ $(NIC_MODEL_LIBS) -o $@
COSIM_TESTS += $(B)/tests/cosim/test_rewrite
