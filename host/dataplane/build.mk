# The data plane: a library for the agent, and its unit tests.
DATAPLANE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/dataplane/*.c))
$(B)/host/dataplane/%.o: CFLAGS += $(DPDK_CFLAGS)
$(B)/host/dataplane/libslu_dataplane.a: $(DATAPLANE_OBJS)
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^
