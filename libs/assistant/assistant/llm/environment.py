"""The names in the environment that choose the models; the settings of each host hold them."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from assistant.llm import providers


def _without_slash(url: str) -> str:
    return url.rstrip("/")


BaseUrl = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_without_slash)]
"""Where paths are appended to."""


class Models(BaseModel):
    """Without a key or an address of a model there is none, and library mode answers."""

    openai_api_key: SecretStr | None = None
    openai_base_url: BaseUrl | None = None
    grok_api_key: SecretStr | None = None
    groq_api_key: SecretStr | None = None
    llm_provider: providers.ProviderName | None = None
    llm_model: str | None = Field(default=None, max_length=200)
    system_prompt: str | None = Field(default=None, max_length=20_000)

    def models(self) -> tuple[providers.Provider, ...]:
        """The models that may answer, in order."""
        return providers.chain(
            openai_key=plain(self.openai_api_key),
            openai_base_url=self.openai_base_url,
            grok_key=plain(self.grok_api_key),
            groq_key=plain(self.groq_api_key),
            first=self.llm_provider,
            model=self.llm_model,
        )


def plain(secret: SecretStr | None) -> str | None:
    """What a secret holds."""
    return secret.get_secret_value() if secret is not None else None
