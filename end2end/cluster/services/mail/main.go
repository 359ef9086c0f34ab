// A mail server that delivers nothing: what it takes over SMTP is read over HTTP.
//
// As real ones do, it speaks STARTTLS on the submission port and TLS from the start on another, and takes a message only from
// whoever has signed in, which wants TLS.
//
//	GET    /messages            all that came, oldest first; ?to=ADDRESS only those to it
//	GET    /messages/ID/raw     as it was sent
//	DELETE /messages            forgets all
//
// Usage: mail -address A -certificate FILE -key FILE -user U -password P
package main

import (
	"bytes"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// largest is what a message may have, as with many a real server.
const largest = 25 << 20

// Message is one that came. From and To are what SMTP said, not what the message claims.
type Message struct {
	ID       int       `json:"id"`
	Received time.Time `json:"received"`
	TLS      bool      `json:"tls"`
	User     string    `json:"user"`
	From     string    `json:"from"`
	To       []string  `json:"to"`
	Parts
	raw []byte
}

// Parts is what a message has in it.
type Parts struct {
	Subject     string              `json:"subject"`
	Headers     map[string][]string `json:"headers"`
	Text        string              `json:"text"`
	HTML        string              `json:"html"`
	Attachments []string            `json:"attachments"`
}

// read takes a message apart.
func read(raw []byte) (Parts, error) {
	// A charset that is not known leaves the text as it came.
	tolerant := func(err error) bool { return err == nil || message.IsUnknownCharset(err) }
	reader, err := mail.CreateReader(bytes.NewReader(raw))
	if !tolerant(err) {
		return Parts{}, err
	}
	parts := Parts{Headers: map[string][]string{}, Attachments: []string{}}
	for field := reader.Header.Fields(); field.Next(); {
		value, err := field.Text()
		if err != nil {
			value = field.Value()
		}
		parts.Headers[field.Key()] = append(parts.Headers[field.Key()], value)
	}
	if parts.Subject, err = reader.Header.Subject(); !tolerant(err) {
		return Parts{}, err
	}
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if !tolerant(err) {
			return Parts{}, err
		}
		switch header := part.Header.(type) {
		case *mail.InlineHeader:
			body, err := io.ReadAll(part.Body)
			if err != nil {
				return Parts{}, err
			}
			if kind, _, _ := header.ContentType(); kind == "text/html" {
				parts.HTML += string(body)
			} else {
				parts.Text += string(body)
			}
		case *mail.AttachmentHeader:
			name, err := header.Filename()
			if err != nil {
				return Parts{}, err
			}
			parts.Attachments = append(parts.Attachments, name)
		}
	}
}

// sink has what came.
type sink struct {
	user, password string
	mutex          sync.Mutex
	last           int
	messages       []Message
}

func (s *sink) put(m Message) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.last++
	m.ID = s.last
	s.messages = append(s.messages, m)
}

func (s *sink) all() []Message {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.messages)
}

func (s *sink) clear() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.messages = nil
}

// NewSession implements smtp.Backend.
func (s *sink) NewSession(connection *smtp.Conn) (smtp.Session, error) {
	return &session{sink: s, connection: connection}, nil
}

// session is one connection's.
type session struct {
	sink       *sink
	connection *smtp.Conn
	user, from string
	to         []string
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth implements smtp.AuthSession.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		same := subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(s.sink.user+"\x00"+s.sink.password))
		if same != 1 {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case sasl.Login:
		return &login{check: check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.user == "" {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	parts, err := read(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "not a message: " + err.Error()}
	}
	_, encrypted := s.connection.TLSConnectionState()
	s.sink.put(Message{Received: time.Now().UTC(), TLS: encrypted, User: s.user, From: s.from, To: s.to, Parts: parts, raw: raw})
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// login is the old mechanism of that name, which the library has for clients only: it asks for the name, then for the password.
type login struct {
	check func(user, password string) error
	user  *string
}

// Next implements sasl.Server.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(*l.user, string(response))
	}
}

// handler is how tests read what came.
func (s *sink) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, request *http.Request) {
		to := request.URL.Query().Get("to")
		other := func(m Message) bool {
			return to != "" && !slices.ContainsFunc(m.To, func(one string) bool { return strings.EqualFold(one, to) })
		}
		found := slices.DeleteFunc(s.all(), other)
		w.Header().Set("Content-Type", "application/json")
		if found == nil {
			found = []Message{}
		}
		json.NewEncoder(w).Encode(found)
	})
	mux.HandleFunc("GET /messages/{id}/raw", func(w http.ResponseWriter, request *http.Request) {
		all := s.all()
		at := slices.IndexFunc(all, func(m Message) bool { return strconv.Itoa(m.ID) == request.PathValue("id") })
		if at < 0 {
			http.NotFound(w, request)
			return
		}
		w.Header().Set("Content-Type", "message/rfc822")
		w.Write(all[at].raw)
	})
	mux.HandleFunc("DELETE /messages", func(w http.ResponseWriter, _ *http.Request) {
		s.clear()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// server is the SMTP half.
func (s *sink) server(domain string, certificate tls.Certificate) *smtp.Server {
	server := smtp.NewServer(s)
	server.Domain = domain
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.MaxMessageBytes = largest
	server.MaxRecipients = 100
	server.ReadTimeout = time.Minute
	server.WriteTimeout = time.Minute
	server.EnableSMTPUTF8 = true
	server.ErrorLog = log.Default()
	return server
}

func main() {
	address := flag.String("address", "127.0.0.1", "where to listen: 587 STARTTLS, 465 TLS, 8025 HTTP")
	domain := flag.String("domain", "mail.berth.test", "its name")
	certificate := flag.String("certificate", "", "its certificate")
	key := flag.String("key", "", "the certificate's key")
	s := &sink{}
	flag.StringVar(&s.user, "user", "", "who may send")
	flag.StringVar(&s.password, "password", "", "with which password")
	flag.Parse()
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	server := s.server(*domain, pair)
	at := func(port string) net.Listener {
		listener, err := net.Listen("tcp", net.JoinHostPort(*address, port))
		if err != nil {
			log.Fatal(err)
		}
		return listener
	}
	submission, submissions, web := at("587"), tls.NewListener(at("465"), server.TLSConfig), at("8025")
	go func() { log.Fatal(server.Serve(submission)) }()
	go func() { log.Fatal(server.Serve(submissions)) }()
	log.Fatal(http.Serve(web, s.handler()))
}
