// The official client for JavaScript, with its helpers.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, client, shows } from "./reporting.mjs";

const api = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "What is the weather in Paris?" }];
const Weather = z.object({ city: z.enum(["Paris", "Rome"]), cloudy: z.boolean() });
const tool = zodFunction({ name: "get_weather", parameters: Weather, function: () => "cloudy" });

client("openai");

await shows("chat", async () => {
  const answer = await api.chat.completions.create({ model: MODEL, messages, max_tokens: 8, n: 2, logprobs: true });
  assert.equal(answer.choices.length, 2);
  assert.ok(answer.choices[0].message.content && answer.choices[0].logprobs.content.length);
});

await shows("stream", async () => {
  let text = "";
  const options = { model: MODEL, messages, max_tokens: 8, stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await api.chat.completions.create(options)) {
    text += chunk.choices[0]?.delta.content ?? "";
    if (chunk.usage) assert.equal(chunk.usage.completion_tokens, 8);
  }
  assert.ok(text);
  const helper = api.chat.completions.stream({ model: MODEL, messages, max_tokens: 8 });
  assert.ok(await helper.finalContent());
});

await shows("structured output", async () => {
  const response_format = zodResponseFormat(Weather, "weather");
  const answer = await api.chat.completions.parse({ model: MODEL, messages, response_format, max_tokens: 60 });
  Weather.parse(answer.choices[0].message.parsed);
});

await shows("tools", async () => {
  const choice = { type: "function", function: { name: "get_weather" } };
  const named = await api.chat.completions.parse({ model: MODEL, messages, tools: [tool], tool_choice: choice, max_tokens: 80 });
  Weather.parse(named.choices[0].message.tool_calls[0].function.parsed_arguments);
  const runner = api.chat.completions.runTools({ model: MODEL, messages, tools: [tool], tool_choice: choice, max_tokens: 80 });
  await runner.done();
  assert.equal(await runner.finalFunctionToolCallResult(), "cloudy");
  const streamed = api.chat.completions.runTools({
    model: MODEL, messages, tools: [tool], tool_choice: choice, max_tokens: 80, stream: true,
  });
  await streamed.done();
  assert.equal(await streamed.finalFunctionToolCallResult(), "cloudy");
});

await shows("completions", async () => {
  const answer = await api.completions.create({ model: MODEL, prompt: ["a", "b"], max_tokens: 4 });
  assert.equal(answer.choices.length, 2);
});

await shows("responses", async () => {
  const input = "Hi";
  assert.ok((await api.responses.create({ model: MODEL, input, max_output_tokens: 8 })).output_text);
  const text = { format: zodTextFormat(Weather, "weather") };
  Weather.parse((await api.responses.parse({ model: MODEL, input, text, max_output_tokens: 60 })).output_parsed);
  assert.ok((await api.responses.stream({ model: MODEL, input, max_output_tokens: 8 }).finalResponse()).output_text);
});

await shows("embeddings", async () => {
  const answer = await api.embeddings.create({ model: EMBEDDING_MODEL, input: ["Kubernetes", "Paris"] });
  assert.equal(answer.data[1].embedding.length, 384);
});

await shows("models", async () => {
  const ids = [];
  for await (const model of api.models.list()) ids.push(model.id);
  assert.ok(ids.includes(MODEL));
});

await shows("errors", async () => {
  const request = api.chat.completions.create({ model: "none-such", messages });
  await assert.rejects(request, (error) => error instanceof OpenAI.NotFoundError && error.param === "model");
});
