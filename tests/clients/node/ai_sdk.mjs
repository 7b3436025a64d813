// Vercel's AI SDK, with its provider for OpenAI-compatible servers.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, embedMany, generateText, streamText, tool } from "ai";
import { z } from "zod";
import { API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, client, shows } from "./reporting.mjs";

const provider = createOpenAICompatible({
  name: "llm-api", baseURL: BASE_URL, apiKey: API_KEY, includeUsage: true, supportsStructuredOutputs: true,
});
const model = provider(MODEL);
const prompt = "What is the weather in Paris?";
const schema = z.object({ city: z.enum(["Paris", "Rome"]), cloudy: z.boolean() });
const tools = { weather: tool({ description: "The weather", inputSchema: schema, execute: async () => "cloudy" }) };
const shared = { model, prompt, maxRetries: 0, temperature: 0 };

client("ai");

await shows("chat", async () => {
  const { text, usage } = await generateText({ ...shared, maxOutputTokens: 8 });
  assert.ok(text);
  assert.equal(usage.outputTokens, 8);
});

await shows("stream", async () => {
  const result = streamText({ ...shared, maxOutputTokens: 8 });
  let text = "";
  for await (const part of result.textStream) text += part;
  assert.ok(text);
  assert.equal((await result.usage).outputTokens, 8);
});

await shows("structured output", async () => {
  const { output } = await generateText({ ...shared, output: Output.object({ schema }), maxOutputTokens: 60 });
  schema.parse(output);
});

await shows("tools", async () => {
  const { toolCalls, toolResults } = await generateText({ ...shared, tools, toolChoice: "required", maxOutputTokens: 80 });
  schema.parse(toolCalls[0].input);
  assert.equal(toolResults[0].output, "cloudy");
  const streamed = streamText({ ...shared, tools, toolChoice: { type: "tool", toolName: "weather" }, maxOutputTokens: 80 });
  schema.parse((await streamed.toolCalls)[0].input);
});

await shows("embeddings", async () => {
  const { embeddings } = await embedMany({ model: provider.embeddingModel(EMBEDDING_MODEL), values: ["Kubernetes", "Paris"] });
  assert.equal(embeddings[1].length, 384);
});
