/* The driver's reading of a card's device tree: the input is the tree. */
#include <stdlib.h>

#include "driver/base/card.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct slu_card card;
	char why[128];

	if (slu_card_parse(data, len, &card, why, sizeof(why)) == 0 &&
		(card.ports == 0 || card.ports > SLU_CARD_PORTS_MAX || card.queues > SLU_CARD_QUEUES_MAX))
		abort();
	return 0;
}
