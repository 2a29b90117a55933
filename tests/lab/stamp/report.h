/* What the client found, as JSON and as a line of text. */
#ifndef SLU_TESTS_LAB_STAMP_REPORT_H
#define SLU_TESTS_LAB_STAMP_REPORT_H

#include <stdint.h>
#include <stdio.h>

void stamp_report_json(FILE *out, uint32_t target_count);
void stamp_report_text(FILE *out, uint32_t target_count);

/* 0: every target had subjects that counted, and none of them was lost; 1: one was lost; 3: nobody counted somewhere.
 */
int stamp_report_status(uint32_t target_count);

#endif
