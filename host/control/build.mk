# The control plane: configuration, generations, health, API.
CONTROL_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/config/*.c host/control/*.c host/health/*.c))
# What a program with libslu_control.a links besides, in this order.
CONTROL_LIBS := $(B)/host/libslu_control.a $(B)/lib/libslu.a -levent_extra -levent_core -ljansson -lyaml

$(B)/host/libslu_control.a: $(CONTROL_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

CONTROL_TESTS := $(patsubst %,$(B)/tests/unit/test_%,config ids generation health control)
UNIT_TESTS += $(CONTROL_TESTS)

$(CONTROL_TESTS) $(B)/tests/unit/control_agent: %: %.o $(B)/host/libslu_control.a $(B)/lib/libslu.a
	$(CC) $(LDFLAGS) $< $(CONTROL_LIBS) -lcmocka -o $@

# The API and sluicectl, from outside.
UNIT_TESTS += tests/unit/test_api.py
tests/unit/test_api.py: $(B)/tests/unit/control_agent $(B)/bin/sluicectl
