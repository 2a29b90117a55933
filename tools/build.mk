# Programs for operators.
SLUICECTL_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tools/sluicectl/*.c))
$(SLUICECTL_OBJS): CFLAGS += -D_GNU_SOURCE

$(B)/bin/sluicectl: $(SLUICECTL_OBJS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ -ljansson -o $@

PROGRAMS += $(B)/bin/sluicectl
