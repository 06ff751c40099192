"""What clients send and get about estimates."""

from datetime import date

from pydantic import Field

from platform_api.kit.fields import JsonObject
from platform_api.kit.schemas import Body, View


class AgentEstimateBody(Body):
    """What the agent would be given."""

    input: JsonObject = Field(default_factory=dict, description="fills in the templates of the config, where it can")


class WorkflowEstimateBody(Body):
    """What a run of the workflow would be given."""

    inputs: JsonObject = Field(default_factory=dict, description="tells how many items loops have, where it can")


class RangeView(View):
    """From the fewest to the most that is to be expected."""

    least: int
    most: int


class StepEstimateView(View):
    """What one step asks of a model each time that it runs, and how often it does.

    Where no provider can be asked, `problem` says why and the figures are null.
    """

    path: str = Field(description="of the step; inside nested workflows behind the path of the step that runs them")
    agent_id: str
    provider: str | None = Field(description="the one that is asked first")
    model: str | None = Field(description="that is asked there; the one that the agent names, or another by its alias")
    prompt_tokens: RangeView | None
    completion_tokens: RangeView | None
    least_cost: float | None = Field(description="USD of one run; null when the model's price is not known")
    most_cost: float | None
    is_repeated: bool = Field(description="inside a LOOP")
    runs: RangeView = Field(description="how often it runs: items of loops, attempts; 0 where it may be left out")
    bounds: list[str] = Field(description="what makes the upper end a bound rather than a number")
    problem: str | None


class EstimateView(View):
    """What a run asks of models, as far as that can be known before. Answers of other steps are not known yet."""

    steps: list[StepEstimateView]
    least_tokens: int = Field(description="of all steps together, each as often as it runs at least")
    most_tokens: int = Field(description="likewise, at most")
    least_cost: float | None = Field(description="USD, likewise; null when one of them is not known")
    most_cost: float | None
    bounds: list[str] = Field(description="of all steps: what is not known before the run, and what holds instead")
    prices_as_of: date = Field(description="when the shipped catalogue was true; own prices are as old as they are")
