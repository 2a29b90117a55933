#include "host/dataplane/counters.h"

const struct slu_counter_info slu_counter_info[SLU_COUNT_MAX] = {
#define X(symbol, name, drop, meaning) [SLU_COUNT_##symbol] = {name, drop, meaning},
	SLU_COUNTERS(X)
#undef X
};
