<?php
/**
 * Submits a message over HTTP, with nothing but PHP itself (its streams; openssl for https).
 *
 *   POSTLANE_URL=http://127.0.0.1:8025 POSTLANE_TOKEN=... php send.php you@example.net
 */
declare(strict_types=1);

const TRIES = 5;
/** In seconds. If the server asks for a longer wait, the caller decides. */
const LONGEST_WAIT = 600;

/** The server does not want this message, however often it is asked. */
final class Refused extends RuntimeException {}

/** The answer of the server. The key makes a repetition harmless: the message is sent once. */
function submit(array $message, string $key): array
{
    $url = getenv('POSTLANE_URL') ?: 'http://127.0.0.1:8025';
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'timeout' => 30,
        'follow_location' => 0,
        // Otherwise the body of an error cannot be read.
        'ignore_errors' => true,
        'header' => [
            'Authorization: Bearer ' . getenv('POSTLANE_TOKEN'),
            'Content-Type: application/json',
            'Idempotency-Key: ' . $key,
        ],
        'content' => json_encode($message, JSON_THROW_ON_ERROR),
    ]]);
    for ($attempt = 0; $attempt < TRIES; $attempt++) {
        $wait = 2 ** $attempt;
        $problem = 'no answer';
        $answer = @fopen($url . '/v1/messages', 'r', false, $context);
        if ($answer !== false) {
            $header = stream_get_meta_data($answer)['wrapper_data'];
            $body = stream_get_contents($answer);
            fclose($answer);
            $status = (int) (explode(' ', $header[0])[1] ?? 0);
            $isStored = $status === 200 || $status === 202;
            $stored = $isStored ? json_decode($body, true, 16) : null;
            if ($stored !== null) {
                return $stored;
            }
            // 429 and 503 say when to ask again; other answers of the class 5xx may have stored the message.
            if (!$isStored && $status !== 429 && $status < 500) {
                throw new Refused($body);
            }
            $problem = $isStored ? 'the answer broke off' : $body;
            foreach ($header as $line) {
                if (preg_match('/^Retry-After:\s*(\d+)/i', $line, $found)) {
                    $wait = (int) $found[1];
                }
            }
        }
        if ($attempt === TRIES - 1 || $wait > LONGEST_WAIT) {
            break;
        }
        sleep($wait);
    }
    throw new RuntimeException("not submitted; call again in $wait s with the key $key: $problem");
}

$message = [
    'from' => ['name' => 'Sales', 'address' => 'sales@example.com'],
    'to' => array_slice($argv, 1) ?: ['you@example.net'],
    'subject' => 'Größe und Farbe',
    'text' => 'Good to have you here.',
    'html' => '<p>Good to have you <b>here</b>.</p>',
    'attachments' => [
        ['filename' => 'terms.txt', 'content' => base64_encode('Be kind.'), 'encoding' => 'base64'],
    ],
];

try {
    // An application takes the number of its order or invoice: after a crash it calls again with the same.
    $stored = submit($message, getenv('IDEMPOTENCY_KEY') ?: bin2hex(random_bytes(16)));
    echo implode(' ', [$stored['id'], $stored['state'], $stored['duplicate'] ? 'again' : 'new']), "\n";
} catch (RuntimeException | JsonException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
