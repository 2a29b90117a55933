# Tests against the real RTL, through the Verilated model or through sluice-nic.
$(B)/tests/cosim/test_vfio_user: tests/cosim/test_vfio_user.c $(B)/bin/sluice-nic
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D_GNU_SOURCE -DSLUICE_NIC='"$(abspath $(B)/bin/sluice-nic)"' $< -lcmocka -o $@
COSIM_TESTS += $(B)/tests/cosim/test_vfio_user
