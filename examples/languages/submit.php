<?php
/**
 * Submits a mail by SMTP, with nothing but PHP itself (its streams and openssl). A framework's mailer needs only the same four settings.
 *
 *   POSTLANE_SMTP=mail.example.com:587 POSTLANE_USER=erp POSTLANE_PASSWORD=... php submit.php you@example.net
 */
declare(strict_types=1);

const TRIES = 5;

/** The server does not want this mail, however often it is asked. */
final class Refused extends RuntimeException {}

/** Says a line and reads the reply, which may have several; 5yz is the last word, everything else unexpected is temporary. */
function say($socket, ?string $line, string $wanted): string
{
    if ($line !== null) {
        fwrite($socket, $line . "\r\n");
    }
    $reply = '';
    do {
        $part = fgets($socket, 1024);
        if ($part === false) {
            throw new RuntimeException('the connection was lost');
        }
        $reply .= $part;
    } while (substr($part, 3, 1) === '-');
    if (str_starts_with($part, $wanted)) {
        return $reply;
    }
    throw $part[0] === '5' ? new Refused(trim($reply)) : new RuntimeException(trim($reply));
}

function submit(string $mail, string $from, array $recipients): string
{
    $server = getenv('POSTLANE_SMTP') ?: '127.0.0.1:587';
    $tls = ['peer_name' => substr($server, 0, (int) strrpos($server, ':'))];
    if (getenv('POSTLANE_CA')) {
        $tls['cafile'] = getenv('POSTLANE_CA');
    }
    $context = stream_context_create(['ssl' => $tls]);
    $socket = @stream_socket_client("tcp://$server", $code, $error, 30, STREAM_CLIENT_CONNECT, $context);
    if ($socket === false) {
        throw new RuntimeException($error);
    }
    try {
        stream_set_timeout($socket, 60);
        say($socket, null, '220');
        say($socket, 'EHLO ' . (gethostname() ?: 'localhost'), '250');
        say($socket, 'STARTTLS', '220');
        if (@stream_socket_enable_crypto($socket, true, STREAM_CRYPTO_METHOD_TLS_CLIENT) !== true) {
            throw new Refused('no TLS: ' . (error_get_last()['message'] ?? 'unknown'));
        }
        say($socket, 'EHLO ' . (gethostname() ?: 'localhost'), '250');
        $login = base64_encode("\0" . getenv('POSTLANE_USER') . "\0" . getenv('POSTLANE_PASSWORD'));
        say($socket, "AUTH PLAIN $login", '235');
        say($socket, "MAIL FROM:<$from>", '250');
        foreach ($recipients as $recipient) {
            // A line break would be a command of its own.
            if (preg_match('/[\s<>]/', $recipient)) {
                throw new Refused("$recipient is no address");
            }
            say($socket, "RCPT TO:<$recipient>", '250');
        }
        say($socket, 'DATA', '354');
        $reply = say($socket, preg_replace('/^\./m', '..', $mail) . "\r\n.", '250');
        @fwrite($socket, "QUIT\r\n");
        return trim($reply);
    } finally {
        fclose($socket);
    }
}

$recipients = array_slice($argv, 1) ?: ['you@example.net'];
// A repetition has the same octets: with its Message-ID it is the same message for ten minutes.
$messageId = getenv('MESSAGE_ID') ?: '<' . bin2hex(random_bytes(16)) . '@example.com>';
$mail = implode("\r\n", [
    'From: Sales <sales@example.com>',
    'To: ' . implode(', ', $recipients),
    'Subject: =?utf-8?B?' . base64_encode('Größe und Farbe') . '?=',
    'Date: ' . date(DATE_RFC2822),
    "Message-ID: $messageId",
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    '',
    rtrim(chunk_split(base64_encode("Good to have you here.\n"))),
]);

for ($attempt = 0; $attempt < TRIES; $attempt++) {
    try {
        echo submit($mail, 'sales@example.com', $recipients), "\n";
        exit(0);
    } catch (Refused $error) {
        break;
    } catch (RuntimeException $error) {
        if ($attempt < TRIES - 1) {
            sleep(2 ** $attempt);
        }
    }
}
fwrite(STDERR, 'not submitted: ' . $error->getMessage() . "\n");
exit(1);
