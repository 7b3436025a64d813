// Java's own HttpClient, which offers to upgrade to HTTP/2 (h2c) with its first request.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;

public class Client {
    static final String BASE = System.getenv("BASE_URL"), KEY = System.getenv("API_KEY"), MODEL = System.getenv("MODEL");

    interface Check { void run() throws Exception; }

    public static void main(String[] arguments) {
        System.out.printf("{\"client\": \"java.net.http\", \"version\": \"%s\"}%n", Runtime.version().feature());
        HttpClient client = HttpClient.newHttpClient(); // HTTP/2 by default
        shows("chat", () -> {
            HttpResponse<String> answer = client.send(chat(false), HttpResponse.BodyHandlers.ofString());
            require(answer.statusCode() == 200 && answer.body().contains("\"chat.completion\""), answer.body());
        });
        shows("stream", () -> {
            List<String> lines = client.send(chat(true), HttpResponse.BodyHandlers.ofLines()).body().toList();
            require(lines.contains("data: [DONE]") && lines.get(0).startsWith("data: {"), lines.toString());
        });
        shows("models", () -> {
            HttpRequest request = HttpRequest.newBuilder(URI.create(BASE + "/models")).header("authorization", "Bearer " + KEY).build();
            require(client.send(request, HttpResponse.BodyHandlers.ofString()).body().contains(MODEL), "no model");
        });
    }

    static HttpRequest chat(boolean stream) {
        String body = "{\"model\": \"" + MODEL + "\", \"stream\": " + stream
            + ", \"max_tokens\": 4, \"messages\": [{\"role\": \"user\", \"content\": \"Grüße\"}]}";
        return HttpRequest.newBuilder(URI.create(BASE + "/chat/completions"))
            .header("authorization", "Bearer " + KEY).header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body)).build();
    }

    static void shows(String capability, Check check) {
        try {
            check.run();
            System.out.printf("{\"capability\": \"%s\", \"outcome\": \"passed\"}%n", capability);
        } catch (Exception error) {
            error.printStackTrace();
            String reason = error.toString().replaceAll("[\"\\\\\\p{Cntrl}]", " ");
            System.out.printf("{\"capability\": \"%s\", \"outcome\": \"failed\", \"reason\": \"%s\"}%n", capability, reason);
        }
    }

    static void require(boolean condition, String found) {
        if (!condition) throw new IllegalStateException(found);
    }
}
