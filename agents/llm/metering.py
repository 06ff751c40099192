"""Counts what one call uses while its answer streams in, by estimate until the provider says what it was."""

from decimal import ROUND_HALF_UP, Decimal

from agents.context import Log
from agents.llm.chat import Reported
from agents.llm.tokens import byte_tokens
from agents.providers.budget import Budget
from agents.providers.holds import Left
from agents.providers.pricing import MILLION, cost_of, used
from agents.providers.provider import Price
from agents.result import Usage

MOST_TOKENS = 20_000_000
"""Of one call, several times what any model takes; who reports more cannot count."""
SMALLEST = Decimal("0.00000001")
"""USD, as records keep them: each call is rounded to that, so that calls add up to steps, runs and projects."""
LIE_FACTOR, LIE_FROM = 8, 200
"""A report of fewer than an eighth of the tokens that were seen is not believed, from so many tokens on."""


class CallMeter:
    """Of one call. What it tells the budget adds up to what it shows in the end."""

    def __init__(self, price: Price | None, budget: Budget, prompt: int, log: Log) -> None:
        self._price = price
        self._budget = budget
        self._log = log
        self._prompt = prompt
        self._completion_bytes = 0
        self._told = Usage()
        self.cached_tokens = 0
        self.is_estimate = True
        """Whether the provider has not said what it was, or not in a way that can be believed."""

    @property
    def usage(self) -> Usage:
        """What was told so far."""
        return self._told

    def at_least(self, completion: int) -> Usage:
        """What it comes to when the provider has read the prompt and says so much."""
        completion = max(completion, self._completion, self._told.completion_tokens)
        prompt = max(self._prompt, self._told.prompt_tokens)
        return rounded(used(self._price, prompt_tokens=prompt, completion_tokens=completion))

    def begin(self) -> None:
        """The provider has begun to answer, so it has read the prompt."""
        self._tell(used(self._price, prompt_tokens=self._prompt, completion_tokens=0))

    def received(self, text: str) -> None:
        """A piece of the answer, of whatever kind."""
        self._completion_bytes += len(text.encode(errors="replace"))
        self._tell(used(self._price, prompt_tokens=self._prompt, completion_tokens=self._completion))

    def settle(self, reported: Reported) -> None:
        """What the provider says, unless nobody would believe it."""
        doubt = self._doubt(reported)
        if doubt:
            self._log("WARN", f"The provider's usage report is not believed ({doubt}); the estimate stands")
            return
        self.is_estimate = False
        self.cached_tokens = reported.cached_tokens
        self._budget.over()  # what is set aside bounds what is to come, and nothing comes any more
        self._tell(
            used(
                self._price,
                prompt_tokens=reported.prompt_tokens,
                completion_tokens=reported.completion_tokens,
                cached_tokens=reported.cached_tokens,
            )
        )

    @property
    def _completion(self) -> int:
        return byte_tokens(self._completion_bytes)

    def _doubt(self, reported: Reported) -> str | None:
        counts = (reported.prompt_tokens, reported.completion_tokens, reported.cached_tokens)
        if any(not 0 <= count <= MOST_TOKENS for count in counts):
            return "a count below 0 or beyond reason"
        if reported.cached_tokens > reported.prompt_tokens:
            return "more cached tokens than there were"
        for seen, said in ((self._prompt, reported.prompt_tokens), (self._completion, reported.completion_tokens)):
            if seen >= LIE_FROM and said * LIE_FACTOR < seen:
                return f"{said} tokens where about {seen} were seen"
        return None

    def _tell(self, total: Usage) -> None:
        total = rounded(total)
        more = Usage(
            prompt_tokens=total.prompt_tokens - self._told.prompt_tokens,
            completion_tokens=total.completion_tokens - self._told.completion_tokens,
            cost=None if total.cost is None else total.cost - (self._told.cost or Decimal(0)),
        )
        self._told = total
        self._budget.tell(more)


def rounded(usage: Usage) -> Usage:
    """With the cost as records keep it."""
    if usage.cost is None:
        return usage
    return usage.model_copy(update={"cost": usage.cost.quantize(SMALLEST, ROUND_HALF_UP)})


def completion_room(left: Left, price: Price | None, prompt: int) -> int | None:
    """How many tokens an answer may have so that prompt and answer stay within what is left; None: any number."""
    rooms = []
    if left.tokens is not None:
        rooms.append(left.tokens - prompt)
    if left.cost is not None and price is not None and price.completion:
        rest = left.cost - (cost_of(price, prompt_tokens=prompt, completion_tokens=0) or Decimal(0))
        rooms.append(int(rest * MILLION / price.completion))
    return max(min(rooms), 1) if rooms else None
