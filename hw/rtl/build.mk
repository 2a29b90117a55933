# RTL sources in compile order, for everyone, and the benches of the flow engine.
RTL_PACKAGES := hw/rtl/slu_regs_pkg.sv hw/rtl/slu_pkg.sv
RTL_SOURCES := $(RTL_PACKAGES) $(filter-out $(RTL_PACKAGES),$(sort $(wildcard hw/rtl/*.sv)))
RTL_LINT := hw/rtl/lint.vlt
