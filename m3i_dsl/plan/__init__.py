"""What a recipe takes, before a device is booked: FLOPs, memory, communication and the time of a step."""

from m3i_dsl.plan.accelerators import ACCELERATORS, Accelerator, Constant, UnknownConstant, peak_of
from m3i_dsl.plan.make import Setting, WorldFault, flops_per_sample, plan_of
from m3i_dsl.plan.schema import CommunicationPlan, Plan

__all__ = [
    "ACCELERATORS",
    "Accelerator",
    "CommunicationPlan",
    "Constant",
    "Plan",
    "Setting",
    "UnknownConstant",
    "WorldFault",
    "flops_per_sample",
    "peak_of",
    "plan_of",
]
