# Pure functions shared by the rooms.
LIB_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
$(B)/lib/%.o: CFLAGS += -fPIC
$(B)/lib/libslu.a: $(LIB_OBJS)
	@mkdir -p $(@D)
	ar rcs $@ $^
