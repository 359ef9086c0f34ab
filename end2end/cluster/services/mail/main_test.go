package main

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func TestReadTakesAMessageApart(t *testing.T) {
	for name, want := range map[string]struct {
		raw   string
		parts Parts
	}{
		"plain": {
			"Subject: Hello\r\n\r\nbody\r\n",
			Parts{Subject: "Hello", Text: "body\r\n"},
		},
		"encoded": {
			"Subject: =?utf-8?B?5L2g5aW9?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5L2g5aW9\r\n",
			Parts{Subject: "你好", Text: "你好"},
		},
		"alternatives and a file": {
			"Subject: Both\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
				"--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
				"--y\r\nContent-Type: text/plain\r\n\r\nplain\r\n--y\r\nContent-Type: text/html\r\n\r\n<b>rich</b>\r\n--y--\r\n" +
				"--x\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=use.csv\r\n\r\na,b\r\n--x--\r\n",
			Parts{Subject: "Both", Text: "plain", HTML: "<b>rich</b>", Attachments: []string{"use.csv"}},
		},
	} {
		got, err := read([]byte(want.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.Subject != want.parts.Subject || got.Text != want.parts.Text || got.HTML != want.parts.HTML ||
			strings.Join(got.Attachments, "|") != strings.Join(want.parts.Attachments, "|") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestWhoMaySend(t *testing.T) {
	// The certificate of Go's own tests: the client does not look at it.
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	s := &sink{user: "berth", password: "right"}
	server := s.server("mail.berth.test", web.TLS.Certificates[0])
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()

	trusting := &tls.Config{InsecureSkipVerify: true}
	encrypted := func() (*smtp.Client, error) { return smtp.DialStartTLS(listener.Addr().String(), trusting) }
	bare := func() (*smtp.Client, error) { return smtp.Dial(listener.Addr().String()) }
	for name, want := range map[string]struct {
		dial func() (*smtp.Client, error)
		auth sasl.Client
		code int
	}{
		"nobody":         {encrypted, nil, 502},
		"wrong password": {encrypted, sasl.NewPlainClient("", "berth", "wrong"), 535},
		"without TLS":    {bare, sasl.NewPlainClient("", "berth", "right"), 523},
		"PLAIN":          {encrypted, sasl.NewPlainClient("", "berth", "right"), 0},
		"LOGIN":          {encrypted, sasl.NewLoginClient("berth", "right"), 0},
	} {
		s.clear()
		err := send(want.dial, want.auth)
		code := 0
		if refused, isSMTP := err.(*smtp.SMTPError); isSMTP {
			code = refused.Code
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if code != want.code {
			t.Errorf("%s: got %v", name, err)
		}
		answer := httptest.NewRecorder()
		s.handler().ServeHTTP(answer, httptest.NewRequest("GET", "/messages?to=ADA@berth.test", nil))
		var came []Message
		if err := json.Unmarshal(answer.Body.Bytes(), &came); err != nil {
			t.Fatal(err)
		}
		if (len(came) == 1) != (want.code == 0) {
			t.Errorf("%s: %d messages came", name, len(came))
		}
	}
}

func send(dial func() (*smtp.Client, error), auth sasl.Client) error {
	client, err := dial()
	if err != nil {
		return err
	}
	defer client.Close()
	if auth != nil {
		if err := client.Auth(auth); err != nil {
			return err
		}
	}
	return client.SendMail("portal@berth.test", []string{"ada@berth.test"}, strings.NewReader("Subject: Hi\r\n\r\nbody\r\n"))
}
