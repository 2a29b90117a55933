# The control plane: configuration, generations, health, API.
CONTROL_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/config/*.c host/control/*.c host/health/*.c))
CONTROL_LIBS := -levent_core -levent_extra -ljansson -lyaml

$(B)/host/libslu_control.a: $(CONTROL_OBJS)
	@mkdir -p $(@D)
	rm -f $@
	ar rcs $@ $^
